"""``stoker logs``: the output of a driver or executor, finished or running."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping

from stoker.client.api import Client
from stoker.client.commands.common import add_connection_arguments, configured, connected, whole
from stoker.client.commands.wait import PATIENCE
from stoker.client.logs.follower import Agenda, follow, stream_of
from stoker.client.logs.jobs import PolledAttempt, PolledExecutor, WatchedDriver
from stoker.client.logs.output import write_all
from stoker.client.logs.read import Target, attempt_of, offset_of_last_lines, parse_target, read_all
from stoker.client.notices import say
from stoker.core.model.messages import Stream
from stoker.core.model.views import AppView
from stoker.errors import NotFound, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker logs [OPTIONS] ID[/EXECUTOR]"
    add_connection_arguments(parser)
    option = parser.add_argument
    option(
        "-f",
        "--follow",
        action="store_true",
        help="print the output as it is written, to its end; the job need not have started",
    )
    option("--stderr", action="store_true", help="print stderr instead of stdout")
    option("-n", "--tail", metavar="N", help="print only the last N lines (with -f: begin with them)")
    option("--bytes", metavar="N", help="print only the last N bytes (with -f: begin with them)")
    option(
        "--attempt",
        metavar="N",
        help="print only what attempt N of a driver wrote, on whatever worker ('stoker status ID')",
    )
    option("id", metavar="ID[/EXECUTOR]", help="driver-..., or app-.../0 for an executor")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    target = attempt_of(parse_target(args.id), whole("--attempt", args.attempt, 1) or 0)
    stream: Stream = "stderr" if args.stderr else "stdout"
    lines, last_bytes = whole("--tail", args.tail, 0), whole("--bytes", args.bytes, 0)
    if lines is not None and last_bytes is not None:
        raise UsageError("--tail and --bytes cannot be combined")
    config = configured(args, environ)
    with connected(args, config) as client:
        if target.executor_id is None:
            target = _only_executor(client, target.id)
        if args.follow:
            client.session.connect()
            client.session.timeout = max(client.session.timeout, PATIENCE)
            pieces = _follow(client, target, stream, lines, last_bytes)
        else:
            pieces = _read(client, target, stream, lines, last_bytes)
        for piece in pieces:
            write_all(sys.stdout.buffer, piece)
    return 0


def _only_executor(client: Client, app_id: str) -> Target:
    """Return the executor of an application with exactly one. Raises UsageError that lists them, or NotFound."""
    view = client.status(app_id)
    assert isinstance(view, AppView)
    ids = sorted({executor.id for executor in (*view.executors, *view.removed_executors)})
    if not ids:
        raise NotFound(f"{app_id} has no executor yet: it is {view.state.value}")
    if len(ids) > 1:
        shown = ", ".join(map(str, ids[:20])) + (", ..." if len(ids) > 20 else "")
        raise UsageError(f"{app_id} has executors {shown}: name one, for example {app_id}/{ids[0]}")
    return Target(app_id, ids[0])


def _first_offset(client: Client, target: Target, stream: Stream, lines: int | None, last_bytes: int | None) -> int:
    """Return where to begin (bytes from the start): 0, or as ``--tail`` or ``--bytes`` say."""
    if lines is not None:
        return offset_of_last_lines(client.session, target, stream, lines)
    if last_bytes is not None:
        window = next(read_all(client.session, target, stream, offset=-1))
        return max(window.first, window.size - last_bytes)
    return 0


def _read(client: Client, target: Target, stream: Stream, lines: int | None, last_bytes: int | None) -> Iterator[bytes]:
    offset = _first_offset(client, target, stream, lines, last_bytes)
    for window in read_all(client.session, target, stream, offset=offset, notice=say):
        if window.waiting:
            say(f"{target.id} has not started yet: follow it with 'stoker logs -f {target.id}'")
        yield window.data


def _follow(
    client: Client, target: Target, stream: Stream, lines: int | None, last_bytes: int | None
) -> Iterator[bytes]:
    session = client.session
    if target.executor_id is not None and target.executor_id >= 0:
        offset = _first_offset(client, target, stream, lines, last_bytes)
        executor = PolledExecutor(session, target.id, target.executor_id)
        return stream_of(session, executor, stream, offset=offset, notice=say)
    if target.attempt:
        offset = _first_offset(client, target, stream, lines, last_bytes)
        attempt = PolledAttempt(session, target.id, target.attempt)
        return stream_of(session, attempt, stream, offset=offset, notice=say)
    driver = WatchedDriver(session, target.id)
    driver.watch()
    follow(session, Agenda(driver), lambda: driver.view is not None or driver.is_over)
    offset = _first_offset(client, target, stream, lines, last_bytes) if driver.run else 0
    return stream_of(session, driver, stream, offset=offset, notice=say)
