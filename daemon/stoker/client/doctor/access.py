"""Checks of who can read what: keys, secrets, and the folders of jobs."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from stoker.client.doctor.daemons import running_daemons
from stoker.client.doctor.finding import Finding
from stoker.config.common import person_keys_dir, state_dir
from stoker.config.effective import shown
from stoker.config.secrets import spark_secret, zookeeper_auth
from stoker.config.sources import Settings
from stoker.config.spark_env import find_spark_env
from stoker.core.model.redaction import HIDDEN
from stoker.errors import ConfigError
from stoker.security.keys import Keys
from stoker.security.spark_secrets import SETTING, read_secrets


def keys(settings: Settings, masters: tuple[str, ...]) -> list[Finding]:
    """Whether the keys are complete, and closed to other users."""
    if not settings.get("spark.authenticate"):
        text = "spark.authenticate is false: whoever reaches the master's port can run programs"
        return [Finding("keys", "warning", text, "remove the setting, on every machine")]
    folder = person_keys_dir(settings)
    try:
        pairs = Keys.open(folder, create=None)
        roles = pairs.roles()
        for role in roles:
            pairs.pair(role)
        for address in masters:
            pairs.master_key(address)
        for path in folder.rglob("*"):
            _check_closed(path)
    except ConfigError as error:
        return [Finding("keys", "problem", str(error), "see docs/security.md, or run playbooks/start-all.yml again")]
    names = ", ".join(role.value for role in roles) or "no role"
    return [Finding("keys", "ok", f"{folder} has keys of {names}, closed to other users"), *_readers(folder, settings)]


def _check_closed(path: Path) -> None:
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode) and mode & 0o077:
        raise ConfigError(f"{path} is open to other users (mode {stat.S_IMODE(mode):o}): `chmod 600 {path}`")


def _readers(folder: Path, settings: Settings) -> list[Finding]:
    """Say which jobs can read the keys: those that run as the keys' owner, or as root."""
    found: list[Finding] = []
    mode = settings.get("spark.stoker.worker.runAs")
    if mode == "required":
        return found
    for daemon in running_daemons():
        if daemon.kind == "worker" and daemon.uid in (0, folder.stat().st_uid):
            jobs = "jobs without an account" if mode == "mapped" else "jobs"
            text = f"{jobs} of the worker (pid {daemon.pid}) run as {_user(daemon.uid)}, who can read {folder}"
            fix = "submit only programs that you trust with this machine's keys, or see docs/run-as.md"
            found.append(Finding("keys", "warning", text, fix))
    return found


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415 - Unix only, and completion loads this module everywhere

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def secrets(settings: Settings) -> list[Finding]:
    """Whether files with secrets are closed to other users."""
    found = []
    for name in ("spark.authenticate.secret.file", "spark.stoker.zookeeper.authFile"):
        if settings.is_set(name):
            found.append(_secret_file(name, settings))
    if settings.is_set(SETTING) and any(daemon.kind == "master" for daemon in running_daemons()):
        found.append(_spark_secrets(Path(settings.get(SETTING))))
    for path in (find_spark_env(settings.conf_dir), settings.conf_dir / "spark-defaults.conf"):
        if path is not None and path.exists() and _holds_secret(path, settings):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                text = f"{path} holds a secret and is open to other users (mode {mode:o})"
                found.append(
                    Finding("secrets", "problem", text, f"chmod 600 {path}, or put the secret into its own file")
                )
    return found or [Finding("secrets", "ok", "no secret is in a file that other users can read")]


def _secret_file(name: str, settings: Settings) -> Finding:
    try:
        spark_secret(settings) if name.endswith("secret.file") else zookeeper_auth(Path(settings.get(name)))
    except ConfigError as error:
        return Finding("secrets", "problem", str(error), "correct the file, or the setting")
    return Finding("secrets", "ok", f"{settings.get(name)} ({name}) is closed to other users")


def _spark_secrets(path: Path) -> Finding:
    try:
        names = len(read_secrets(path))
    except ConfigError as error:
        return Finding("secrets", "problem", str(error), "correct the file, or the setting")
    return Finding("secrets", "ok", f"{path} ({SETTING}) is closed to other users, and has {names} names")


def _holds_secret(path: Path, settings: Settings) -> bool:
    own = [(name, setting.value) for name, setting in settings.properties.items() if str(path) in setting.source]
    own += [(name, settings.environ.get(name, "")) for name, source in settings.origins.items() if str(path) in source]
    return any(
        shown(name, value) == HIDDEN
        for name, value in own
        if not name.endswith(("secret.file", "authFile", "secretsFile"))
    )


def folders(settings: Settings) -> list[Finding]:
    """Whether other users can read the output and files of jobs."""
    state = state_dir(settings)
    chosen = settings.variable("SPARK_WORKER_DIR")
    found = []
    for what, folder in (("state", state), ("work", Path(chosen) if chosen else state / "work")):
        with contextlib.suppress(FileNotFoundError):
            found.append(_folder(what, folder))
    return found or [Finding("folders", "skipped", "no daemon has run here with these settings")]


def _folder(what: str, folder: Path) -> Finding:
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    owner = _user(status.st_uid)
    if mode & 0o022:
        text = f"{folder} ({what}) belongs to {owner}, and other users can write it (mode {mode:o})"
        return Finding("folders", "problem", text, f"chmod go-w {folder}")
    if mode & 0o077:
        text = f"{folder} ({what}) belongs to {owner}; other users can list it (mode {mode:o}), not the folders of jobs"
        return Finding("folders", "ok", text)
    if status.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        fix = f"run the doctor as {owner}"
        return Finding("folders", "warning", f"{folder} ({what}) belongs to {owner}, not to this user", fix)
    return Finding("folders", "ok", f"{folder} ({what}) is for {owner} alone (mode {mode:o})")
