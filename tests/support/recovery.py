"""Recovery engines by name, and a writer in its own process, which tests kill."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from stoker.recovery.base import RecoveryEngine
from stoker.recovery.filesystem import FilesystemRecovery
from stoker.recovery.none import NoRecovery
from tests.support.zookeeper import LeadersRecords

ENGINES: dict[str, Callable[[Path], RecoveryEngine]] = {
    "none": lambda _: NoRecovery(),
    "filesystem": FilesystemRecovery,
    "zookeeper": LeadersRecords,
}
LOCKED = ["filesystem"]  # engines whose store is locked by one master; for the others the election decides
DURABLE = [name for name in ENGINES if name != "none"]
SLOTS = 7  # the keys that a writer rewrites in turn


def batch(number: int) -> dict[str, bytes | None]:
    """Return the writer's n-th commit: a pair that belongs together, a deletion, and its own number."""
    slot = number % SLOTS
    content = b"%d " % number * (number % 700)
    return {
        f"left/{slot}": content,
        f"right/{slot}": content,
        f"left/{(number + 3) % SLOTS}": None,
        f"right/{(number + 3) % SLOTS}": None,
        "meta/number": b"%d" % number,
    }


def states() -> Iterator[dict[str, bytes]]:
    """Return what the store holds after 0, 1, 2, ... commits of a writer."""
    state: dict[str, bytes] = {}
    number = 0
    while True:
        yield dict(state)
        for key, value in batch(number).items():
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
        number += 1


def state_after(commits: int) -> dict[str, bytes]:
    return next(state for number, state in enumerate(states()) if number == commits)


@contextlib.contextmanager
def writer(engine: str, location: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a writer that prints "open", then the number of each commit that is durable. It continues after the last
    commit in the store, until it is killed."""
    command = [sys.executable, "-m", "tests.support.recovery", engine, str(location)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


def _write_for_ever(engine: RecoveryEngine) -> None:
    print("open", flush=True)
    number = int(engine.read().get("meta/number", b"-1")) + 1
    while True:
        engine.commit(batch(number))
        print(number, flush=True)
        number += 1


if __name__ == "__main__":
    _write_for_ever(ENGINES[sys.argv[1]](Path(sys.argv[2])))
