"""The output of executors on our terminal: each stream is read by long polls and written in whole lines, so that the
lines of several executors do not mix."""

from __future__ import annotations

from typing import BinaryIO

from stoker.core.model.messages import LogData, ReadLog, Stream

STREAMS: tuple[Stream, ...] = ("stdout", "stderr")
LIMIT = 256 * 1024  # bytes asked for at a time
POLL = 10.0  # seconds the worker may hold a question while there is nothing to tell
MAX_LINE = 64 * 1024  # bytes; a longer line is written in pieces
RETRY_WAITING = 0.1  # seconds until asking again for an executor that has not started
RETRY_ERROR = 0.3  # seconds until asking again after an error
ERRORS_AT_END = 3  # in a row, once the executor is over, until its output is given up

_HEADER = b"Spark Executor Command: "
_HEADER_END = b"=" * 40 + b"\n"


class LogStream:
    """What one executor writes to one of its two streams, from the beginning."""

    def __init__(self, executor_id: int, stream: Stream) -> None:
        self.executor_id = executor_id
        self.stream: Stream = stream
        self.offset = 0  # bytes read so far
        self.done = False
        self.error = ""  # why its output could not be read to the end
        self._rest = b""
        self._errors = 0
        # The worker writes the command line at the top of stderr; it is not the program's output.
        self._in_header = stream == "stderr"

    def question(self, app_id: str) -> ReadLog:
        return ReadLog(
            request=0,
            id=app_id,
            executor_id=self.executor_id,
            stream=self.stream,
            offset=self.offset,
            limit=LIMIT,
            wait=POLL,
        )

    def take(self, answer: LogData, *, executor_is_over: bool) -> tuple[bytes, float]:
        """(what to write now, seconds until to ask again). Sets ``done`` when there is nothing more to come."""
        if answer.error:
            return self._failed(answer.error, executor_is_over, final=answer.ended)
        if answer.data and answer.offset < self.offset and not self._is_rolled(answer):
            return self._failed("the answers of the master do not fit together", True)
        self._errors = 0
        if answer.data:
            self.offset = answer.offset + len(answer.data)
            self._rest += answer.data
        if answer.ended and self.offset >= answer.size:
            return self.finish(), 0.0
        pause = 0.0 if answer.data else RETRY_WAITING if answer.waiting else 0.01
        return self._lines(), pause

    def _is_rolled(self, answer: LogData) -> bool:
        """The worker has put the file we read aside and begun a new one (spark.executor.logs.rolling.*)."""
        return answer.offset == 0 and len(answer.data) <= answer.size < self.offset

    def _failed(self, error: str, executor_is_over: bool, *, final: bool = False) -> tuple[bytes, float]:
        self._errors += 1
        if executor_is_over and (final or self._errors >= ERRORS_AT_END):
            self.error = error
            return self.finish(), 0.0
        return b"", RETRY_ERROR

    def finish(self) -> bytes:
        """Nothing more is read; returns what is left."""
        self.done = True
        self._skip_header(at_end=True)
        rest, self._rest = self._rest, b""
        return rest

    def _lines(self) -> bytes:
        self._skip_header(at_end=False)
        if self._in_header:
            return b""
        end = self._rest.rfind(b"\n") + 1
        if not end and len(self._rest) > MAX_LINE:
            end = len(self._rest)
        lines, self._rest = self._rest[:end], self._rest[end:]
        return lines

    def _skip_header(self, *, at_end: bool) -> None:
        if not self._in_header:
            return
        known = self._rest[: len(_HEADER)]
        if not _HEADER.startswith(known):
            self._in_header = False
            return
        end = self._rest.find(_HEADER_END)
        if end >= 0 and len(known) == len(_HEADER):
            self._rest = self._rest[end + len(_HEADER_END) :].removeprefix(b"\n")
            self._in_header = False
        elif at_end or len(self._rest) > MAX_LINE:
            self._in_header = False


class Output:
    """Our own stdout and stderr. ``label`` puts the executor's id before every line."""

    def __init__(self, stdout: BinaryIO, stderr: BinaryIO, *, label: bool) -> None:
        self._files = {"stdout": stdout, "stderr": stderr}
        self._label = label
        self._unfinished: dict[str, LogStream] = {}  # who left a line without its end there

    def write(self, source: LogStream, data: bytes) -> None:
        if not data:
            return
        begins_line = True
        last = self._unfinished.pop(source.stream, None)
        if last is source:
            begins_line = False
        elif last is not None:
            self._files[source.stream].write(b"\n")
        if not data.endswith(b"\n"):
            self._unfinished[source.stream] = source
        if self._label:
            data = _labelled(data, f"{source.executor_id}: ".encode(), begins_line)
        self._files[source.stream].write(data)
        self._files[source.stream].flush()

    def say(self, line: str) -> None:
        """A line of ours."""
        start = b"\n" if self._unfinished.pop("stderr", None) is not None else b""
        self._files["stderr"].write(start + f"stoker: {line}\n".encode("utf-8", "replace"))
        self._files["stderr"].flush()


def _labelled(data: bytes, label: bytes, begins_line: bool) -> bytes:
    # Only \n ends a line: a progress bar redraws its own with \r.
    *lines, rest = data.split(b"\n")
    pieces = [line + b"\n" for line in lines] + ([rest] if rest else [])
    return (label if begins_line else b"") + label.join(pieces)
