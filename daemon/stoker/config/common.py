"""Settings that masters, workers and clients share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from stoker.config import types
from stoker.config.sources import Settings, home, own_configuration_folder
from stoker.core.model.addresses import is_loopback
from stoker.errors import ConfigError, UsageError

T = TypeVar("T")


class Trail(NamedTuple):
    """Where the audit trail goes, as ``security.audit`` takes it."""

    file: Path
    syslog: str


LEAST_MEMORY = 64  # MiB that a daemon allocates while it starts


def option(name: str, text: str | None, parse: Callable[[str], T]) -> T | None:
    """A command-line value, parsed; None when it was not given. Raises UsageError naming the option."""
    if text is None:
        return None
    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def first(*values: T | None) -> T | None:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


def keys_dir(settings: Settings) -> Path:
    chosen = settings.variable("STOKER_KEYS_DIR")
    return Path(chosen).absolute() if chosen else settings.conf_dir.absolute() / "keys"


def person_dir(settings: Settings) -> Path:
    """Return where whoever runs a command has keys and a client profile: ~/.config/stoker, if the keys of the configuration
    folder are those of daemons that run as another user."""
    is_chosen = bool(settings.variable("STOKER_KEYS_DIR"))
    is_own = is_chosen or not _is_of_others(settings.conf_dir.absolute() / "keys")
    return settings.conf_dir.absolute() if is_own else own_configuration_folder(settings.environ)


def person_keys_dir(settings: Settings) -> Path:
    """Return the keys folder of whoever runs a command."""
    return keys_dir(settings) if settings.variable("STOKER_KEYS_DIR") else person_dir(settings) / "keys"


def _is_of_others(keys: Path) -> bool:
    """Return whether only another user can use the keys folder."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:  # Windows; root uses any
        return False
    try:
        return keys.stat().st_uid != os.geteuid()
    except FileNotFoundError:
        return keys.parent.is_dir() and not os.access(keys.parent, os.W_OK)
    except OSError:
        return True


def state_dir(settings: Settings) -> Path:
    chosen = settings.variable("STOKER_STATE_DIR") or settings.get("spark.stoker.state.dir")
    if chosen:
        return Path(chosen).absolute()
    base = settings.variable("XDG_STATE_HOME")
    return (Path(base) if base else home(settings.environ) / ".local" / "state") / "stoker"


def audit_trail(settings: Settings) -> Trail:
    chosen: str = settings.get("spark.stoker.audit.file")
    file = Path(chosen).absolute() if chosen else state_dir(settings) / "audit.log"
    return Trail(file, settings.get("spark.stoker.audit.syslog"))


def memory_limit(settings: Settings) -> int | None:
    """Return SPARK_DAEMON_MEMORY or -Xmx in MiB; None when neither is set. Raises ConfigError when it is too small."""
    limit: int | None = settings.parsed(types.parse_memory, "SPARK_DAEMON_MEMORY")
    name = "-Xmx" if limit is None else settings.origins.get("SPARK_DAEMON_MEMORY", "SPARK_DAEMON_MEMORY")
    limit = settings.heap_mib if limit is None else limit
    if limit is not None and limit < LEAST_MEMORY:
        raise ConfigError(f"{name} is {limit} MiB: a daemon needs at least {LEAST_MEMORY}m; Spark's default is 1g")
    return limit


def listen_host(settings: Settings, chosen: str | None) -> str:
    """The host to listen on and to be known by: what was asked for, else this machine's name if that is an address of
    its own, else loopback (and then a warning says so)."""
    if chosen:
        _check_host(chosen)
        return chosen.strip("[]")
    configured = settings.variable("SPARK_LOCAL_HOSTNAME", "SPARK_LOCAL_IP")
    if configured:
        _check_host(configured)
        return configured.strip("[]")
    import socket  # noqa: PLC0415 - for daemons only; a command is quicker without

    name = socket.gethostname()
    if is_own(name):
        if leads_to_loopback(name):  # as Debian's installer writes it into /etc/hosts
            settings.warnings.append(
                f"this machine's name {name!r} is a loopback address: no other machine can connect; say --host or set"
                " SPARK_LOCAL_IP to one that others reach"
            )
        return name
    settings.warnings.append(f"this machine's name {name!r} is not an address of its own: listening on 127.0.0.1 only")
    return "127.0.0.1"


def is_own(host: str) -> bool:
    """Return whether this machine can listen on that name or address."""
    import socket  # noqa: PLC0415 - as above

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


def leads_to_loopback(host: str) -> bool:
    """Return whether the address of that name, as the machine's name service knows it, is a loopback one."""
    import socket  # noqa: PLC0415 - as above

    return is_loopback(str(socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][4][0]))


def _check_host(host: str) -> None:
    if not host.strip() or any(character in host for character in " /,@\t\n"):
        raise ConfigError(f"{host!r} is not a host name or address")
