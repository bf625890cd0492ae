"""The local half: log in, start ``stoker relay``, and return the environment that leads a client to it."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stoker.config.sources import load_settings
from stoker.core.model.states import Role
from stoker.errors import Refused, UsageError
from stoker.security.keys import Keys
from stoker.via.forward import Forward
from stoker.via.ssh import connected

if TYPE_CHECKING:
    from fabric import Connection
    from paramiko import Channel

# Where a login that is not interactive may not look: a user's own, and what the playbooks install.
_PLACES = ("stoker", "~/.local/bin/stoker", "/opt/stoker/current/bin/stoker")
_NOT_THERE = 127
HELLO_WITHIN = 60.0  # seconds; of which the relay looks for a master for a few


@dataclass(frozen=True)
class Via:
    """A way to the cluster. ``environ`` leads any command there; ``master`` is its HOST:PORT there."""

    connection: Connection
    environ: dict[str, str]
    url: str
    master: str


@contextlib.contextmanager
def via(target: str, environ: Mapping[str, str], *, master: str | None = None, port: int = 0) -> Iterator[Via]:
    """The cluster that ``stoker`` on ``target`` talks to (``master``: another URL), for as long as the block lasts.

    ``port`` is where it listens here, 0: any. Raises as ``ssh.connected`` does, and Refused in the remote side's words.
    """
    if not load_settings(environ).get("spark.authenticate"):
        raise UsageError("spark.authenticate is false in this machine's configuration: --via needs it to be true")
    with tempfile.TemporaryDirectory(prefix="stoker-via-") as folder, connected(target) as connection:
        keys = Keys.open(Path(folder) / "keys", create=(Role.CLIENT, Role.ADMIN))
        with _relay(connection, target, keys, master) as hello:
            keys.known_masters.write_text(f"* {hello['key']}\n")
            with Forward(connection.transport, "127.0.0.1", hello["port"], port=port) as forward:
                url = f"spark://127.0.0.1:{forward.port}"
                leads = {"MASTER": url, "STOKER_KEYS_DIR": str(keys.folder)}
                yield Via(connection, {**environ, **leads}, url, hello["master"])


@contextlib.contextmanager
def _relay(connection: Connection, target: str, keys: Keys, master: str | None) -> Iterator[dict[str, Any]]:
    words = ["relay", *(f"--{role.value}-key={keys.pair(role)[0]}" for role in (Role.CLIENT, Role.ADMIN))]
    words += [f"--master={master}"] if master else []
    channel = connection.transport.open_session()
    with contextlib.closing(channel):
        channel.exec_command(_command(words))
        channel.settimeout(HELLO_WITHIN)
        with channel.makefile("rb") as out:
            try:
                line = out.readline()
            except TimeoutError:
                raise Refused(f"stoker on {target} did not answer in {HELLO_WITHIN:g} s") from None
        hello = _parsed(line)
        if hello is None:
            raise _refusal(channel, target)
        channel.settimeout(None)
        threading.Thread(target=_show_errors, args=(channel, target), daemon=True).start()
        yield hello


def _command(words: list[str]) -> str:
    """Return the remote command. It works in any login shell: sh looks for stoker."""
    arguments = shlex.join(words)
    tries = "; ".join(
        f"command -v {place} >/dev/null 2>&1 && exec {place} {arguments}" for place in _PLACES
    )  # fmt: skip
    return f"exec sh -c {shlex.quote(f'{tries}; exit {_NOT_THERE}')}"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        hello = json.loads(line)
        return hello if {"port", "key", "master"} <= set(hello) else None
    except (ValueError, TypeError):
        return None


def _refusal(channel: Channel, target: str) -> Refused:
    with channel.makefile_stderr("rb") as errors:
        lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    code = channel.recv_exit_status()
    said = lines[-1].removeprefix("stoker: ") if lines else f"its relay ended with exit code {code}"
    if code == _NOT_THERE:
        return Refused(
            f"there is no stoker on {target}: install it there, or put it on the PATH of a plain 'ssh {target}'"
        )
    if "no command 'relay'" in said:
        said = "that stoker is too old to relay: upgrade it"
    return Refused(f"{target} says: {said}")


def _show_errors(channel: Channel, target: str) -> None:
    with contextlib.suppress(OSError, EOFError), channel.makefile_stderr("rb") as errors:
        for line in errors:
            print(f"stoker: {target} says: {line.decode(errors='replace').strip()}", file=sys.stderr, flush=True)
