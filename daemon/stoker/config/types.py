"""Parsers of the values users write: memory, durations, cores, URLs. Each returns the value or raises UsageError with
one line that shows the right form."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeVar

from stoker.core.model import limits
from stoker.errors import UsageError

N = TypeVar("N", int, float)

DEFAULT_PORT = 7077
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?|\[[0-9A-Fa-f:.%]{2,60}\]")


def parse_bytes(text: str, default_unit: str = "b") -> int:
    """Bytes from ``512m``, ``2G``, ``1t``; a plain number is in ``default_unit``."""
    try:
        return limits.size(text, default_unit)
    except ValueError:
        raise UsageError(f"{text!r} is not an amount of memory: write it like 512m or 2g") from None


def parse_memory(text: str) -> int:
    """MiB from ``512m``, ``2G``; a plain number is MiB, as for Spark's memory options. Raises UsageError below 1 MiB."""
    mib = parse_bytes(text, "m") // 2**20
    if mib < 1:
        raise UsageError(
            f"{text!r}: Memory is below 1MB, or missing a M/G at the end of the memory specification? Write 512m or 2g"
        )
    return mib


def parse_free_disk(text: str) -> tuple[float, int] | None:
    """(percent, bytes) from ``5%,2g``; either may be left out, and then does not matter. None for ``0``."""
    form = f"{text!r} is not an amount of free disk: write it like 5%,2g, or 0 to measure nothing"
    if text.strip() == "0":
        return None
    percent, size = 100.0, 2**62
    for part in text.split(","):
        number = part.strip()
        if number.endswith("%"):
            if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?%", number):
                raise UsageError(form)
            percent = float(number[:-1])
            continue
        try:
            size = parse_bytes(number)
        except UsageError:
            raise UsageError(form) from None
    return percent, size


def parse_duration(text: str) -> float:
    """Seconds from ``60``, ``60s``, ``5min``, ``1h``, ``500ms``."""
    return _usage(limits.duration, text)


def parse_time_limit(text: str) -> float:
    """Seconds that a job may run, from ``90s``, ``30min``, ``2h``, ``1d``."""
    return _usage(limits.time_limit, text)


def parse_disk_part(text: str) -> tuple[float, int] | None:
    """(percent of a disk, 0) from ``20%``, (0, bytes) from ``50g``; None for ``none``: no limit."""
    stripped = text.strip().lower()
    if stripped == "none":
        return None
    if re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?%|100%", stripped):
        return float(stripped[:-1]), 0
    try:
        return 0.0, limits.size(stripped)
    except ValueError:
        raise UsageError(f"{text!r} is not an amount of disk: write it like 50g or 20%, or none for no limit") from None


def parse_age(text: str) -> float:
    """Seconds from ``7d``; infinite for ``none``."""
    return math.inf if text.strip().lower() == "none" else parse_duration(text)


def parse_disk_limit(text: str) -> int:
    """MiB that a job's directory may hold, from ``512m``, ``20g``."""
    return _usage(limits.disk_limit, text)


def _usage(parse: Callable[[str], N], text: str) -> N:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def parse_bool(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise UsageError(f"{text!r} is neither true nor false")
    return lowered == "true"


def parse_integer(text: str, least: int, most: int = 2**31 - 1) -> int:
    stripped = text.strip()
    if not re.fullmatch(r"-?[0-9]{1,18}", stripped) or not least <= int(stripped) <= most:
        bounds = f"of at least {least}" if most == 2**31 - 1 else f"from {least} to {most}"
        raise UsageError(f"{text!r} is not a whole number {bounds}")
    return int(stripped)


def parse_port(text: str) -> int:
    return parse_integer(text, 0, 65535)


def parse_master_url(text: str) -> tuple[str, ...]:
    """``spark://h1:p1,h2:p2`` -> ('h1:p1', 'h2:p2'); a missing port is 7077. Raises UsageError."""
    form = "write it like spark://host:7077 or spark://host1:7077,host2:7077"
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme.lower() != "spark":
        raise UsageError(f"{text!r} is not a master URL: {form}")
    addresses = [_address(part, text, form) for part in rest.rstrip("/").split(",")]
    return tuple(dict.fromkeys(addresses))


def _address(part: str, url: str, form: str, port: str = str(DEFAULT_PORT)) -> str:
    host = part
    if not part.endswith("]") and ":" in part:
        host, _, port = part.rpartition(":")
    if not _HOST.fullmatch(host) or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) <= 65535:
        if part.count(":") > 1 and "[" not in part:
            form = "write an IPv6 address in brackets, like [fd00::1]:7077"
        raise UsageError(f"{url!r} has no valid HOST:PORT in {part!r}: {form}")
    return f"{host}:{int(port)}"


def parse_zookeeper_url(text: str) -> str:
    """``zk1:2181,zk2:2181``; a missing port is 2181. Raises UsageError."""
    form = "write it like zk1:2181,zk2:2181"
    return ",".join(_address(part.strip(), text, form, "2181") for part in text.split(","))


def parse_syslog(text: str) -> str:
    """A socket's absolute path, or HOST:PORT. Raises UsageError."""
    stripped = text.strip()
    form = "write it like /dev/log or loghost:514"
    return stripped if stripped.startswith("/") or not stripped else _address(stripped, text, form, "514")


def parse_choice(text: str, choices: tuple[str, ...]) -> str:
    for choice in choices:
        if text.strip().lower() == choice.lower():
            return choice
    raise UsageError(f"{text!r} is not one of {', '.join(repr(choice) for choice in choices)}")
