"""Writes the output of jobs to stoker's own stdout and stderr: as it comes, or in whole lines when several jobs write."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from stoker.client.logs.header import HeaderFilter
from stoker.core.model.messages import Stream

MAX_LINE = 64 * 1024  # bytes; a longer line is written in pieces


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write and flush. With PYTHONUNBUFFERED a standard stream writes a part only when its reader is slow or gone."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) or 0 :]
    file.flush()


class Raw:
    """Writes the output of one job as it comes. ``header``, if any, takes the worker's header out of it."""

    def __init__(self, file: BinaryIO, notice: Callable[[str], None], *, header: HeaderFilter | None = None) -> None:
        self.notice = notice
        self._file = file
        self._header = header

    def write(self, data: bytes) -> None:
        self._write(data if self._header is None else self._header.feed(data))

    def finish(self) -> None:
        if self._header is not None:
            self._write(self._header.finish())

    def _write(self, data: bytes) -> None:
        write_all(self._file, data)


class Output:
    """Stoker's own stdout and stderr, for many executors. ``label`` puts the executor's id before every line."""

    def __init__(self, stdout: BinaryIO, stderr: BinaryIO, *, label: bool) -> None:
        self._files = {"stdout": stdout, "stderr": stderr}
        self._label = label
        self._unfinished: dict[str, Lines] = {}  # whose last line there has no end yet

    def lines(self, executor_id: int, stream: Stream) -> Lines:
        """Return the sink for one stream of one executor."""
        return Lines(self, executor_id, stream)

    def write(self, source: Lines, data: bytes) -> None:
        if not data:
            return
        begins_line = True
        last = self._unfinished.pop(source.stream, None)
        if last is source:
            begins_line = False
        elif last is not None:
            write_all(self._files[source.stream], b"\n")
        if not data.endswith(b"\n"):
            self._unfinished[source.stream] = source
        if self._label:
            data = _labelled(data, f"{source.executor_id}: ".encode(), begins_line)
        write_all(self._files[source.stream], data)

    def say(self, line: str) -> None:
        """A line of stoker's own, on stderr."""
        start = b"\n" if self._unfinished.pop("stderr", None) is not None else b""
        write_all(self._files["stderr"], start + f"stoker: {line}\n".encode("utf-8", "replace"))


class Lines:
    """One stream of one executor, without the worker's header, written in whole lines so that the lines of several
    executors do not mix."""

    def __init__(self, output: Output, executor_id: int, stream: Stream) -> None:
        self.executor_id = executor_id
        self.stream: Stream = stream
        self._output = output
        self._header = HeaderFilter() if stream == "stderr" else None
        self._rest = b""

    def write(self, data: bytes) -> None:
        self._rest += data if self._header is None else self._header.feed(data)
        end = self._rest.rfind(b"\n") + 1
        if not end and len(self._rest) > MAX_LINE:
            end = len(self._rest)
        lines, self._rest = self._rest[:end], self._rest[end:]
        self._output.write(self, lines)

    def finish(self) -> None:
        """Write the last line too, if it has no end."""
        rest, self._rest = self._rest + (self._header.finish() if self._header is not None else b""), b""
        self._output.write(self, rest)

    def notice(self, line: str) -> None:
        self._output.say(line)


def _labelled(data: bytes, label: bytes, begins_line: bool) -> bytes:
    # Only \n ends a line: a progress bar redraws its own with \r.
    *lines, rest = data.split(b"\n")
    pieces = [line + b"\n" for line in lines] + ([rest] if rest else [])
    return (label if begins_line else b"") + label.join(pieces)
