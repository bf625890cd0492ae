"""``stoker drain WORKER...``: place no new work on workers; with ``--wait``, wait until they are idle."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence

import msgspec

from stoker.client.api import Client
from stoker.client.commands.common import configured, door
from stoker.client.commands.workers import add_worker_names, show_workers
from stoker.client.notices import say
from stoker.config.types import parse_duration
from stoker.core.model.states import Role
from stoker.core.model.views import ClusterView, WorkerView
from stoker.errors import NotFound, UsageError

LOOK_AGAIN = 0.25  # seconds between two questions about a worker
_MOST_NAMED = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_worker_names(parser, "drain")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why, for others who look at the workers")
    parser.add_argument(
        "--deadline",
        metavar="TIME",
        help="when to stop what still runs there, such as 2h: it starts again elsewhere, or ends (default: never)",
    )
    parser.add_argument("--wait", action="store_true", help="wait until the workers are idle")
    parser.add_argument(
        "--timeout", metavar="TIME", help="with --wait: how long to wait, such as 90s or 2h (default: unlimited)"
    )


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Return 0 when they are draining (with ``--wait``: and idle), else 1."""
    timeout = math.inf if args.timeout is None else parse_duration(args.timeout)
    if args.timeout is not None and not args.wait:
        raise UsageError("--timeout needs --wait")
    deadline = 0.0 if args.deadline is None else parse_duration(args.deadline)
    if args.deadline is not None and deadline <= 0:
        raise UsageError("--deadline must be more than 0, for example 2h; 'stoker kill' stops jobs at once")
    config = configured(args, environ)
    with Client(config=config, role=Role.ADMIN, notice=say, door=door()) as client:
        workers = client.drain(args.workers, reason=args.reason.strip(), deadline=deadline)
        if args.wait:
            workers = _wait(client, workers, timeout)
        show_workers(workers, json=args.json)
        left = [worker for worker in workers if worker.running] if args.wait else []
        if left:
            cluster = client.cluster()
            for worker in left:
                say(f"{worker.address} is draining, but still runs {_what_runs(worker, cluster)} after {timeout:g} s")
    return 1 if left else 0


def _wait(client: Client, workers: Sequence[WorkerView], timeout: float) -> tuple[WorkerView, ...]:
    """Wait until nothing runs on the workers, or ``timeout`` seconds have passed; return their latest views. Prints how many
    jobs are left when that changes."""
    end = time.monotonic() + timeout
    seen = {worker.id: worker for worker in workers}
    said: dict[str, int] = {}
    while True:
        for key, worker in seen.items():
            if worker.running and said.get(key) != worker.running:
                said[key] = worker.running
                say(f"{worker.address}: {worker.running} still running")
        busy = [key for key, worker in seen.items() if worker.running]
        if not busy or time.monotonic() >= end:
            return tuple(seen.values())
        client.session.wait(lambda: False, min(LOOK_AGAIN, max(0.0, end - time.monotonic())))
        for key in busy:
            seen[key] = _look(client, seen[key])


def _look(client: Client, worker: WorkerView) -> WorkerView:
    try:
        return client.worker(worker.id)
    except NotFound:  # forgotten meanwhile
        return msgspec.structs.replace(worker, running=0)


def _what_runs(worker: WorkerView, cluster: ClusterView) -> str:
    ids = [driver.id for driver in cluster.active_drivers if driver.worker_id == worker.id]
    for app in cluster.active_apps:
        ids += [f"{app.id}/{executor.id}" for executor in app.executors if executor.worker_id == worker.id]
    named = ", ".join(ids[:_MOST_NAMED]) or f"{worker.running} that are being stopped"
    more = len(ids) - _MOST_NAMED
    return named + (f" and {more} more" if more > 0 else "")
