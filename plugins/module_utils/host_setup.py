# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""A release of Stoker, its user, its folders and its keys on a host (M(stoker.spark.stoker_host))."""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import pwd
import shutil
import subprocess
import sys
import tarfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stoker.spark.plugins.module_utils.host_keys import HostKeys, known, text_of

SPEC: dict[str, dict[str, Any]] = {
    "prefix": {"type": "path", "required": True},
    "release": {"type": "str", "default": "auto"},
    "archive": {"type": "path"},
    "archive_sha256": {"type": "str", "default": ""},
    "keep": {"type": "int", "default": 2},
    "user": {"type": "str", "default": ""},
    "conf_dir": {"type": "path", "required": True},
    "state_dir": {"type": "path", "required": True},
    "link": {"type": "path"},
    "rotation": {"type": "str", "choices": ["none", "stage", "switch"], "default": "none"},
    "keys": {
        "type": "list",
        "elements": "str",
        "default": [],
        "choices": ["master", "worker", "client", "admin"],
        "no_log": False,
    },
}
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
# What a release must be able to do on any host, and on those of a role.
TRIAL = "import stoker.cli, stoker.client.commands.keys"
TRIALS = {"master": "stoker.master.daemon", "worker": "stoker.worker.daemon, stoker.worker.keeper.keeper"}
LAUNCHER = "#!{python}\nimport sys\n\nfrom stoker.cli import main\n\nsys.exit(main())\n"


class HostSetup:
    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.prefix = self.params["prefix"]
        self.releases = os.path.join(self.prefix, "releases")
        self.current = os.path.join(self.prefix, "current")
        self.release = self.params["release"]
        self.previous = os.path.basename(os.readlink(self.current)) if os.path.islink(self.current) else ""
        self.changes: list[str] = []

    @property
    def dry(self) -> bool:
        return bool(self.module.check_mode)

    def path(self, release: str) -> str:
        return os.path.join(self.releases, release)

    # --- releases ---

    def install(self, archive: str, sha256: str) -> None:
        """Check the release, unpack it beside its place, try it, and only then give it its name."""
        with open(archive, "rb") as file:
            found = hashlib.sha256(file.read()).hexdigest()
        if found != sha256:
            self.module.fail_json(
                msg=f"the release arrived with SHA-256 {found} instead of {sha256 or 'one that was named'}: nothing is"
                " installed; remove build/releases on the controller, and try again"
            )
        os.makedirs(self.releases, mode=0o755, exist_ok=True)
        part = self.path(f".{self.release}.{os.getpid()}")
        shutil.rmtree(part, ignore_errors=True)
        try:
            with tarfile.open(archive) as tar:
                tar.extraction_filter = getattr(tarfile, "data_filter", None)  # older Pythons have none
                tar.extractall(part)
            self._make_environment(part)
            self._try(part)
            shutil.rmtree(self.path(self.release), ignore_errors=True)
            os.rename(part, self.path(self.release))
            self._compile_rest()
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _make_environment(self, folder: str) -> None:
        """A virtual environment, as ``venv`` would make it; many hosts lack that module. Debian's own packages can be
        imported from it, which is how programs of users come to their libraries."""
        os.makedirs(f"{folder}/bin")
        home = os.path.dirname(os.path.realpath(sys.executable))
        with open(f"{folder}/pyvenv.cfg", "w", encoding="utf-8") as file:
            file.write(f"home = {home}\ninclude-system-site-packages = true\nversion = {platform.python_version()}\n")
        os.symlink(sys.executable, f"{folder}/bin/python")
        # By the release's real path: a daemon goes on with its own release when ``current`` is switched.
        with open(f"{folder}/bin/stoker", "w", encoding="utf-8") as file:
            file.write(LAUNCHER.format(python=f"{self.path(self.release)}/bin/python"))
        os.chmod(f"{folder}/bin/stoker", 0o755)

    def _try(self, folder: str) -> None:
        trial = ", ".join([TRIAL, *(TRIALS[role] for role in self.params["keys"] if role in TRIALS)])
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            [f"{folder}/bin/python", "-I", "-c", trial], env=environ, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            self.module.fail_json(
                msg=f"release {self.release} does not run with Python {PYTHON} ({sys.executable}) on"
                f" {platform.machine()}: {last}. The current release is still {self.previous or 'none'}."
            )

    def _compile_rest(self) -> None:
        """The trial has compiled what daemons need to start. The rest is compiled now, because they may not write there, and
        at leisure, because nobody waits for it."""
        folder = self.path(self.release)
        process = subprocess.Popen(
            [f"{folder}/bin/python", "-I", "-m", "compileall", "-q", f"{folder}/lib"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.setpriority(os.PRIO_PROCESS, process.pid, 19)

    def switch(self) -> None:
        temporary = f"{self.current}.{os.getpid()}"
        os.symlink(os.path.join("releases", self.release), temporary)
        os.rename(temporary, self.current)

    def prune(self) -> None:
        """Remove releases that are not current, previous, in use, or among the newest."""
        folders = [path for path in glob.glob(f"{self.releases}/*") if os.path.isdir(path)]
        folders.sort(key=os.path.getmtime, reverse=True)
        others = [path for path in folders if os.path.basename(path) not in (self.release, self.previous)]
        spare = max(0, self.params["keep"] - bool(self.previous))
        for path in others[spare:]:
            if not _in_use(path):
                shutil.rmtree(path, ignore_errors=True)

    # --- user, folders, link ---

    def make_user(self) -> None:
        name = self.params["user"]
        try:
            pwd.getpwnam(name or pwd.getpwuid(os.geteuid()).pw_name)
        except KeyError:
            self.changes.append(f"user {name}")
            if self.dry:
                return
            words = ["useradd", "--system", "--user-group", "--home-dir", self.params["state_dir"], "--no-create-home"]
            self.module.run_command([*words, "--shell", "/usr/sbin/nologin", name], check_rc=True)

    def make_folders(self) -> None:
        keys = os.path.join(self.params["conf_dir"], "keys")
        for path, mode, own in (
            (self.params["conf_dir"], 0o755, False),
            (self.params["state_dir"], 0o755, True),
            (keys, 0o700, True),
        ):
            if not os.path.isdir(path):
                self.changes.append(f"folder {path}")
                if self.dry:
                    continue
                os.makedirs(path, mode=mode)
            if own:
                self._give_away(path)

    def _give_away(self, folder: str) -> None:
        """Make the folder the daemons' own."""
        try:
            owner = pwd.getpwnam(self.params["user"]) if self.params["user"] else None
        except KeyError:  # check mode has not made that user
            return
        if owner is None or os.stat(folder).st_uid == owner.pw_uid:
            return
        if f"folder {folder}" not in self.changes:
            self.changes.append(f"owner of {folder}")
        if not self.dry:
            os.chown(folder, owner.pw_uid, owner.pw_gid)

    def make_link(self) -> None:
        link, target = self.params["link"], f"{self.current}/bin/stoker"
        if not link or (os.path.islink(link) and os.readlink(link) == target):
            return
        self.changes.append(f"link {link}")
        if not self.dry:
            os.makedirs(os.path.dirname(link), exist_ok=True)
            temporary = f"{link}.{os.getpid()}"
            os.symlink(target, temporary)
            os.replace(temporary, link)


def _in_use(folder: str) -> bool:
    mark = f"{folder}/".encode()
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                if mark in file.read():
                    return True
        except OSError:
            continue
    return False


def check_python(module: AnsibleModule) -> None:
    """Fail the module where this Python is too old for Stoker."""
    if sys.version_info < (3, 10):  # noqa: UP036 - this runs with whatever Python a host has
        module.fail_json(
            msg=f"Stoker needs Python 3.10 or newer; {sys.executable} on this host is {platform.python_version()}:"
            " install a newer one and set ansible_python_interpreter",
            wrong_python=True,  # for the controller's half, which then has Ansible look for another
        )


def bring(module: AnsibleModule) -> dict[str, Any]:
    """Bring the host to the wanted state, and return the module's result. Everything is looked at with the lock held: another
    run may have brought the release meanwhile."""
    host = HostSetup(module)
    # One made for an earlier Python of this host does not count.
    installed = os.path.isdir(f"{host.path(host.release)}/lib/python{PYTHON}")
    facts = {
        "python": PYTHON,
        "arch": platform.machine(),
        "previous": host.previous,
        "release": host.release,
        "authorized": text_of(f"{module.params['conf_dir']}/keys/authorized"),
        "known_masters": text_of(f"{module.params['conf_dir']}/keys/known_masters"),
    }
    if not installed and not module.params["archive"] and not module.check_mode:
        return {"changed": False, "wanted": True, **known({}), **facts}
    host.make_user()
    host.make_folders()
    if not installed:
        host.changes.append(f"release {host.release}")
        if not module.check_mode:
            host.install(module.params["archive"], module.params["archive_sha256"])
    if host.previous != host.release:
        host.changes.append(f"current release {host.release} instead of {host.previous or 'none'}")
        if not module.check_mode:
            host.switch()
            host.prune()
    host.make_link()
    stoker_keys = HostKeys(module, f"{host.current}/bin/stoker", host.changes)
    keys = stoker_keys.make() if installed or not module.check_mode else {}
    return {
        "changed": bool(host.changes),
        "wanted": False,
        "changes": host.changes,
        "settled": not host.changes and stoker_keys.is_settled,
        **known(keys),
        **facts,
    }
