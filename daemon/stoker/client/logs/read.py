"""Reads existing output: all of it, a window, or its last lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from stoker.client.logs.follower import CANNOT_SEPARATE, lost
from stoker.client.session.session import Session
from stoker.core.model.messages import LogData, ReadLog, Stream
from stoker.core.model.values import APP_ID, DRIVER_ID
from stoker.errors import ProtocolError, Refused, UsageError

PIECE = 1 << 20  # bytes asked for at a time, the most a worker gives


class Target(msgspec.Struct, frozen=True):
    """Names an output: of a driver (``executor_id`` -1), or of one ``attempt`` of it (> 0), or of an executor;
    ``executor_id`` None: any executor."""

    id: str
    executor_id: int | None
    attempt: int = 0


def parse_target(text: str) -> Target:
    """``driver-...``, ``app-.../EXECUTOR`` or ``app-...``. Raises UsageError."""
    job_id, slash, executor = text.partition("/")
    if DRIVER_ID.fullmatch(job_id) and not slash:
        return Target(job_id, -1)
    if APP_ID.fullmatch(job_id) and not slash:
        return Target(job_id, None)
    if APP_ID.fullmatch(job_id) and executor.isascii() and executor.isdigit() and len(executor) <= 9:
        return Target(job_id, int(executor))
    raise UsageError(f"{text!r} is not an id: write driver-20260131120000-0000 or app-20260131120000-0000/0")


def attempt_of(target: Target, attempt: int) -> Target:
    """Narrow a target to one attempt; 0: to none. Raises UsageError for anything but a driver."""
    if attempt and target.executor_id != -1:
        raise UsageError(f"only a driver has attempts, and {name_of(target)} is an application's: leave --attempt out")
    return msgspec.structs.replace(target, attempt=attempt)


def name_of(target: Target) -> str:
    name = target.id if target.executor_id in (None, -1) else f"{target.id}/{target.executor_id}"
    return f"attempt {target.attempt} of {name}" if target.attempt else name


class Window(msgspec.Struct, frozen=True):
    """A part of an output as it is now. ``waiting``: its process has not started yet. ``offset`` is beyond the one that was
    asked for when the bytes there do not exist any more."""

    offset: int
    data: bytes
    size: int
    waiting: bool = False
    first: int = 0  # byte that still exists


def read_window(session: Session, target: Target, stream: Stream, *, offset: int = 0, limit: int = PIECE) -> Window:
    """At most ``limit`` bytes from ``offset`` (negative: from the end). Raises Refused when it cannot be read."""
    executor_id = -1 if target.executor_id is None else target.executor_id
    answer = session.call(
        ReadLog(
            request=0,
            id=target.id,
            stream=stream,
            executor_id=executor_id,
            offset=offset,
            limit=limit,
            attempt=target.attempt,
        )
    )
    if not isinstance(answer, LogData):
        raise ProtocolError(f"the master answered a question about output with {type(answer).__name__}")
    if answer.error:
        raise Refused(f"{stream} of {name_of(target)}: {answer.error}")
    if answer.attempt != target.attempt and not answer.waiting:
        raise Refused(f"{stream} of {name_of(target)}: {CANNOT_SEPARATE}")
    return Window(answer.offset, answer.data, answer.size, answer.waiting, answer.first)


def read_all(
    session: Session,
    target: Target,
    stream: Stream,
    *,
    offset: int = 0,
    notice: Callable[[str], None] | None = None,
) -> Iterator[Window]:
    """Read from ``offset`` (negative: from the end) to the end as it is when reached; yields at least one window.
    ``notice`` is given a line about bytes that do not exist any more."""
    while True:
        window = read_window(session, target, stream, offset=offset)
        if window.offset > offset >= 0 and notice is not None:
            notice(lost(offset, window.offset, f"{stream} of {name_of(target)}"))
        yield window
        offset = window.offset + len(window.data)
        if not window.data or offset >= window.size:
            return


def offset_of_last_lines(session: Session, target: Target, stream: Stream, lines: int) -> int:
    """Return where the last ``lines`` lines begin (bytes from the start)."""
    window = read_window(session, target, stream, offset=-PIECE)
    end, wanted = window.offset + len(window.data), lines
    if lines == 0 or not window.data:
        return end
    skip_last = window.data.endswith(b"\n")  # the end of the last line begins no further one
    while True:
        at = len(window.data) - skip_last
        while (at := window.data.rfind(b"\n", 0, at)) >= 0:
            wanted -= 1
            if wanted == 0:
                return window.offset + at + 1
        if window.offset <= window.first:
            return window.offset
        start = max(window.first, window.offset - PIECE)
        window = read_window(session, target, stream, offset=start, limit=window.offset - start)
        skip_last = False
