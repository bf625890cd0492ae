"""What a check found, and how checks run: side by side, and never longer than their time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

import msgspec

from stoker.errors import StokerError

Level = Literal["ok", "warning", "problem", "skipped"]
T = TypeVar("T")

EACH_WITHIN = 12.0  # seconds
AT_A_TIME = 32  # most of the time of such checks is waiting for the network
RANK: dict[Level, int] = {"ok": 0, "skipped": 0, "warning": 1, "problem": 2}


class Finding(msgspec.Struct, frozen=True):
    """``level``: *warning* for what may be intended, *problem* for what keeps jobs or daemons from running safely,
    *skipped* where nothing could be said."""

    check: str
    level: Level
    found: str
    fix: str = ""


Check = Callable[[], list[Finding]]


def run_checks(checks: Mapping[str, Check], within: float) -> list[Finding]:
    """Run all checks at once, in threads; return their findings in the order of ``checks``. One that has not ended after
    ``within`` seconds is a problem of its own, and is left behind."""
    results: dict[str, list[Finding]] = {}

    def work(name: str, check: Check) -> None:
        results[name] = _guarded(name, check)

    threads = {
        name: threading.Thread(target=work, args=(name, check), daemon=True, name=f"doctor {name}")
        for name, check in checks.items()
    }
    for thread in threads.values():
        thread.start()
    end = time.monotonic() + within
    for thread in threads.values():
        thread.join(max(0.0, end - time.monotonic()))
    late = f"no result after {within:g} s"
    fix = "see whether the name service, a network file system or a program hangs"
    return [finding for name in checks for finding in list(results.get(name, [Finding(name, "problem", late, fix)]))]


def each(name: str, things: Sequence[T], check: Callable[[T], list[Finding]]) -> list[Finding]:
    """Return the findings of one check for many things, several at a time. Things whose turn has not come after
    ``EACH_WITHIN`` seconds are left out, and their number is a finding."""
    end = time.monotonic() + EACH_WITHIN

    def in_time(thing: T) -> list[Finding] | None:
        return check(thing) if time.monotonic() < end else None

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        results = list(pool.map(in_time, things))
    found = [finding for result in results for finding in result or ()]
    if left := sum(result is None for result in results):
        found.append(Finding(name, "problem", f"{left} of {len(things)} were not examined within {EACH_WITHIN:g} s"))
    return found


def _guarded(name: str, check: Check) -> list[Finding]:
    try:
        return check()
    except StokerError as error:
        return [Finding(name, "problem", str(error))]
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return [Finding(name, "problem", f"cannot look: {where}{error.strerror or error}")]
    except Exception as error:  # a check must not take the others' findings with it
        return [Finding(name, "problem", f"cannot look: {type(error).__name__}: {error}")]
