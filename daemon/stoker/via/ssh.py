"""An ssh connection by Fabric: ssh config honoured, unknown host keys refused, failures in one line.

Two features of Fabric are not used. It adds unknown host keys silently; here a host must be in known_hosts. Its port
forwarder stops permanently when one connection is refused, as by a restarting master; ``forward.py`` does not.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stoker.errors import ConfigError, NotAuthorized, StokerError, Unreachable, UsageError

if TYPE_CHECKING:
    from fabric import Connection

CONNECT_TIMEOUT = 15  # seconds
KEEPALIVE = 15  # seconds; a laptop that changed its network notices
_SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


@contextlib.contextmanager
def connected(target: str) -> Iterator[Connection]:
    """A connection to ``[USER@]HOST[:PORT]``, or a name of ssh's configuration.

    Raises ConfigError without Fabric, UsageError for a malformed target, NotAuthorized when one side does not accept the
    other, Unreachable when there is no connection.
    """
    try:
        from fabric import Connection  # noqa: PLC0415 - an extra
        from paramiko import SSHException  # noqa: PLC0415
    except ImportError:
        raise ConfigError(f"--via and tunnel need Fabric: {sys.executable} -m pip install fabric") from None
    if not target or target.startswith("-") or any(character.isspace() for character in target):
        raise UsageError(f"{target!r} is not [USER@]HOST[:PORT]")
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it would print errors that Stoker reports itself
    try:
        connection = _made(Connection, target)
        _check_host_keys(connection)
        connection.open()
    except (SSHException, OSError, EOFError, ValueError) as error:
        raise _explained(error, target) from None
    try:
        connection.transport.set_keepalive(KEEPALIVE)
        yield connection
    finally:
        connection.close()
        if not isinstance(connection.gateway, str) and connection.gateway:
            connection.gateway.close()


def _made(kind: type[Connection], target: str) -> Connection:
    try:
        return kind(target, connect_timeout=CONNECT_TIMEOUT)
    except KeyError:  # of the table of users; Fabric looks there even if the target names a user
        raise ConfigError("this user has no name on this machine: set LOGNAME") from None


def _check_host_keys(connection: Any) -> None:
    """Of the host, and of those it is reached through (ProxyJump)."""
    from paramiko import RejectPolicy  # noqa: PLC0415

    files = connection.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2").split()
    for path in (_SYSTEM_KNOWN_HOSTS, *(Path(name).expanduser() for name in files)):
        if path.exists():
            connection.client.load_system_host_keys(str(path))
    connection.client.set_missing_host_key_policy(RejectPolicy())
    if connection.gateway and not isinstance(connection.gateway, str):
        _check_host_keys(connection.gateway)


def _explained(error: Exception, target: str) -> StokerError:
    from paramiko import ssh_exception  # noqa: PLC0415

    text = " ".join(str(error).split())
    reason = getattr(error, "strerror", None) or text  # paramiko's errors have no number, and their text says so
    if "not found in known_hosts" in text:
        return NotAuthorized(f"the host key of {target} is not known: check it with 'ssh {target}' first")
    explanations: list[tuple[type[Exception], type[StokerError], str]] = [  # the first that fits
        (ssh_exception.BadHostKeyException, NotAuthorized,
         f"{target}: its host key is not the one in known_hosts: find out why before you go on"),
        (ssh_exception.PasswordRequiredException, NotAuthorized,
         f"{target}: the ssh key has a passphrase: ssh-add it first"),
        (ssh_exception.AuthenticationException, NotAuthorized,
         f"{target} does not accept our ssh keys: 'ssh {target}' must work without a password"),
        (ValueError, UsageError, f"{target!r} is not [USER@]HOST[:PORT]: {text}"),
        (socket.gaierror, Unreachable, f"cannot find the host of {target}: check the name"),
        (OSError, Unreachable, f"cannot connect to {target}: is sshd running there? ({reason})"),
    ]  # fmt: skip
    for kind, answer, line in explanations:
        if isinstance(error, kind):
            return answer(line)
    return Unreachable(f"no ssh connection to {target}: {text}")
