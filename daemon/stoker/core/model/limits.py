"""Limits on the time (ADR 27) and the disk of jobs, as people write and read them."""

from __future__ import annotations

import re

TIME_LIMIT_VARIABLE = "STOKER_TIME_LIMIT"  # of an executor: how an unmodified Spark application gives its time limit
TIME_LIMIT_PROPERTY = "spark.stoker.timeLimit"
DISK_VARIABLE = "STOKER_MAX_DISK"  # likewise: how it gives the disk limit of its executors
DRIVER_DISK_PROPERTY = "spark.stoker.driver.maxDisk"
EXECUTOR_DISK_PROPERTY = "spark.stoker.executor.maxDisk"
_LONGEST = 2**31 - 1  # seconds
_WRITTEN = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*(us|ms|s|m|min|h|d|)", re.IGNORECASE | re.ASCII)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d{1,15})\s*(b|k|kb|m|mb|g|gb|t|tb|p|pb|)", re.IGNORECASE | re.ASCII)
_BYTES = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_MIB_PER_GIB = 1024
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))  # seconds


def duration(text: str) -> float:
    """Return the seconds of ``60``, ``60s``, ``5min``, ``1h``, ``500ms``. Raises ValueError."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:80]!r} is not a duration: write it like 60s, 5min or 1h")
    return float(match[1]) * _SECONDS[match[2].lower()]


def time_limit(text: str) -> float:
    """Return the seconds that a job may run, of ``90s``, ``30min``, ``2h``, ``1d``. Raises ValueError."""
    seconds = duration(text)
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"{text[:80]!r} is not a time limit: write a duration above 0, like 30min, 2h or 1d")
    return seconds


def size(text: str, default_unit: str = "b") -> int:
    """Return the bytes of ``512m``, ``2G``, ``1t``; a plain number is in ``default_unit``. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:80]!r} is not a size: write it like 512m or 20g")
    return int(match[1]) * _BYTES[(match[2] or default_unit).lower()[0]]


def disk_limit(text: str) -> int:
    """Return the MiB that a job's directory may hold, of ``20g``; a plain number is bytes. Raises ValueError."""
    mib = size(text) // 2**20
    if not 1 <= mib <= _LONGEST:
        raise ValueError(f"{text[:80]!r} is not a disk limit: write a size of at least 1m, like 20g")
    return mib


def disk(mib: float) -> str:
    """Return an amount of disk for people: ``20 GiB``, ``20.1 GiB``, ``512 MiB``."""
    return f"{round(mib / _MIB_PER_GIB, 1):g} GiB" if mib >= _MIB_PER_GIB else f"{round(mib):g} MiB"


def over_disk(used: int, limit_mib: int) -> str:
    """Return why a job ended that used too much disk: ``used 20.1 of 20 GiB of disk``. ``used``: bytes."""
    in_gib = limit_mib >= _MIB_PER_GIB
    scale = _MIB_PER_GIB if in_gib else 1
    shown = max(used / 2**20 / scale, limit_mib / scale)
    return f"used {shown:.1f} of {round(limit_mib / scale, 1):g} {'GiB' if in_gib else 'MiB'} of disk"


def span(seconds: float) -> str:
    """Return a duration as people write a limit: ``2 h``, ``1 h 30 min``, ``0.5 s``."""
    words = []
    left = round(seconds, 3)
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            words.append(f"{count:.0f} {unit}")
    if left or not words:
        words.append(f"{round(left, 3):g} s")
    return " ".join(words)


def reason(seconds: float) -> str:
    """Return why a job ended that reached its limit."""
    return f"time limit of {span(seconds)}"


def with_rest(limit: float, started: float, now: float) -> str:
    """Return a limit, and what is left of it for a process that ``started``; 0: not yet. "" without a limit. Times in
    seconds."""
    if not limit:
        return ""
    if not started:
        return span(limit)
    left = round(started + limit - now)
    return f"{span(limit)}, {span(left)} left" if left > 0 else f"{span(limit)}, reached"
