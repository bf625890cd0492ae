"""Forecasts for the API: a process of its own plays the cluster forward, since that may take seconds of CPU.

The master asks, and the child process (``python -m stoker.master.forecasting SECONDS``) reads a question from stdin and
writes the answer to stdout. The child has less priority than the master, and SECONDS of CPU at most.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import threading

import msgspec

from stoker.config.pools import parse_pools
from stoker.core.forecast.compare import ClusterChanges, NewDrivers, NewWorkers, forecast, live_ids
from stoker.core.forecast.rebuild import Snapshot
from stoker.core.model.changes import ForecastRow, WhatIf
from stoker.core.model.messages import Scheduling
from stoker.core.model.values import Value
from stoker.core.model.views import ClusterView
from stoker.errors import Refused, Unreachable, UsageError
from stoker.io.isolated import isolated

CPU_SECONDS = 10
SLOWNESS = 6.0  # of a busy machine: this many seconds may pass for one of CPU
_NICE = 10
_SEED = 1  # shuffles of equal workers are the same in both plays


class Question(Value, frozen=True):
    cluster: ClusterView
    scheduling: Scheduling
    what_if: WhatIf


class Answer(Value, frozen=True):
    """``sources``: how many run times came from where; ``assumed``: the seconds of those that are not known."""

    rows: tuple[ForecastRow, ...] = ()
    sources: dict[str, int] = msgspec.field(default_factory=dict)
    assumed: float = 0.0
    refused: str = ""  # why the master would not accept what is to be submitted


class Forecaster:
    """Makes forecasts, one at a time, each of ``cpu_seconds`` at most. Thread-safe."""

    def __init__(self, *, cpu_seconds: int = CPU_SECONDS) -> None:
        self._cpu_seconds = cpu_seconds
        self._lock = threading.Lock()

    def ask(self, question: Question) -> Answer:
        """Raises UsageError for changes that make no sense on this cluster, Refused when another forecast is being made or it
        takes too long."""
        _changes(question)
        if not self._lock.acquire(blocking=False):
            raise Refused("another forecast is being made: try again in a few seconds")
        try:
            return _asked(question, self._cpu_seconds)
        finally:
            self._lock.release()


def _asked(question: Question, cpu_seconds: int) -> Answer:
    too_long = (
        f"the forecast takes more than {cpu_seconds} s of CPU: use 'stoker what-if', which computes on your machine"
    )
    try:
        done = subprocess.run(
            isolated("stoker.master.forecasting", str(cpu_seconds)),
            input=msgspec.msgpack.encode(question),
            capture_output=True,
            timeout=SLOWNESS * cpu_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused(too_long) from None
    except OSError as error:
        raise Unreachable(f"the master cannot start a process: {error.strerror}") from None
    if done.returncode < 0:  # by the kernel's signal at the limit
        raise Refused(too_long)
    if done.returncode:
        raise Unreachable(f"the forecast failed: {done.stderr.decode(errors='replace').strip()[-200:]}")
    answer = msgspec.msgpack.decode(done.stdout, type=Answer)
    if answer.refused:
        raise Refused(answer.refused)
    return answer


def _changes(question: Question) -> ClusterChanges:
    """Raises UsageError for a pools.yml with faults and for unknown workers."""
    wanted, ids, pools = question.what_if, [], None
    for name in wanted.remove:
        found = live_ids(question.cluster, name)
        if not found:
            raise UsageError(f"remove: there is no live worker {name[:80]}")
        ids += found
    if wanted.pools:
        pools, faults = parse_pools(wanted.pools, "pools")
        if pools is None:
            raise UsageError("; ".join(faults[:3]))
    return ClusterChanges(
        add=tuple(NewWorkers(each.number, each.cores, each.memory_mib, each.resources) for each in wanted.add),
        remove=tuple(ids),
        pools=pools,
        submit=tuple(
            NewDrivers(each.number, each.cores, each.memory_mib, each.resources, each.seconds) for each in wanted.submit
        ),
        pool=wanted.pool,
        priority=wanted.priority,
    )


def answer_to(question: Question) -> Answer:
    """Play the cluster forward."""
    snapshot = Snapshot(question.cluster, question.scheduling)
    assumed = question.what_if.assume or None
    found = forecast(snapshot, _changes(question), lambda: random.Random(_SEED), assumed)  # noqa: S311 - guards nothing
    return Answer(
        rows=tuple(found.rows),
        sources={str(source): count for source, count in found.sources.items()},
        assumed=found.assumed,
        refused=found.refused,
    )


def main() -> None:
    """Answer the question on stdin."""
    seconds = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    os.nice(_NICE)
    question = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.msgpack.encode(answer_to(question)))


if __name__ == "__main__":
    main()
