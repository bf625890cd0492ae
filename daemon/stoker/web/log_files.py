"""``/logFile/``: a job's output as bytes, whole or by range, plain or compressed with gzip (RFC 9110).

A large output is sent by a thread of its own, piece by piece as the client reads it: neither memory nor disk holds the whole,
and a slow client occupies no thread that makes pages.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Generator, Iterator

from flask import Response, current_app, request
from werkzeug.exceptions import HTTPException, RequestedRangeNotSatisfiable, ServiceUnavailable
from werkzeug.http import parse_range_header

from stoker.errors import StokerError
from stoker.web.channel import SEND
from stoker.web.log_window import MAX_WINDOW, JobOutput, LogReaders

AT_ONCE = 8  # large outputs that are sent at the same time
SMALL = 256 * 1024  # bytes that are sent at once, without a thread, and not compressed
_GZIP = zlib.MAX_WBITS | 16
_LEVEL = 1  # of compression: a quarter of the time of the usual level, and logs shrink nearly as much


class OutputFiles:
    """Answers requests for bytes. ``logs`` reads small outputs, ``downloads`` large ones: those must wait for each other, not
    keep pages waiting."""

    def __init__(self, logs: LogReaders, downloads: LogReaders) -> None:
        self._logs = logs
        self._downloads = downloads
        self._sending = 0
        self._lock = threading.Lock()

    def answer(self, output: JobOutput, *, as_file: bool) -> Response:
        """Return the bytes that Range asks for; without Range, all of them. Raises RequestedRangeNotSatisfiable,
        ServiceUnavailable, NotFound, and what reading raises."""
        last = self._logs.window(output, length=1)
        start, stop, is_range = _range(last.first, last.size)
        if start >= stop and is_range:
            raise RequestedRangeNotSatisfiable(last.size, description="There is nothing there (yet).")
        response = Response(b"", 206 if is_range else 200, mimetype="text/plain")
        if is_range:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{last.size}"
        else:
            response.headers["Accept-Ranges"] = "bytes"
            response.headers["Vary"] = "Accept-Encoding"
        if as_file:
            response.mimetype = "application/octet-stream"
            response.headers["Content-Disposition"] = f'attachment; filename="{output.file_name}"'
        self._fill(response, output, start, stop, is_packed=not is_range and stop - start > SMALL and _takes_gzip())
        return response

    def _fill(self, response: Response, output: JobOutput, start: int, stop: int, *, is_packed: bool) -> None:
        is_whole = stop - start <= SMALL
        may_have_gaps = not output.is_driver and response.status_code == 200  # only outputs of executors are rolled
        if is_packed:
            response.headers["Content-Encoding"] = "gzip"
        if is_packed or (may_have_gaps and not is_whole):
            response.headers.remove("Content-Length")
            response.automatically_set_content_length = False  # it is sent in chunks, whose end shows that all has come
        else:
            response.content_length = stop - start
        if request.method == "HEAD" or start >= stop:
            return
        if is_whole:
            response.set_data(b"".join(_pieces(self._logs, output, start, stop, skips=may_have_gaps)))
            return
        if self._sending >= AT_ONCE:
            raise ServiceUnavailable(f"{AT_ONCE} large outputs are being sent already: try again later.")
        pieces = _pieces(self._downloads, output, start, stop, skips=may_have_gaps)
        body = self._counted(_packed(pieces) if is_packed else pieces, current_app.extensions["still_allowed"]())
        send = request.environ.get(SEND)
        if send is None:  # another WSGI server
            response.response = body
        else:
            send(body)

    def _counted(self, pieces: Iterator[bytes], is_allowed: Callable[[], bool]) -> Generator[bytes, None, None]:
        """Yield the pieces while the reader may read them. Raises StokerError. It counts from its first piece on: a client
        that goes before occupies no place."""
        self._count(1)
        try:
            for piece in pieces:
                if not is_allowed():
                    raise StokerError("the reader's token was revoked")
                yield piece
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._sending += change


def _takes_gzip() -> bool:
    return request.accept_encodings.quality("gzip") > 0


def _range(oldest: int, size: int) -> tuple[int, int, bool]:
    """First byte, end, and whether a range was asked for; several ranges, or an unreadable one, count as none. Bytes before
    ``oldest`` do not exist any more."""
    wanted = parse_range_header(request.headers.get("Range"))
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return oldest, size, False
    first, stop = wanted.ranges[0]
    if first < 0:
        first, stop = max(size + first, 0), size
    first = min(max(first, oldest), size)
    return first, min(size if stop is None else stop, size), True


def _pieces(logs: LogReaders, output: JobOutput, start: int, stop: int, *, skips: bool) -> Iterator[bytes]:
    """Yield the bytes. Where some were removed meanwhile, a line says so (``skips``), or the answer ends early. Raises
    StokerError when they cannot be read to the end."""
    while start < stop:
        try:
            window = logs.window(output, start=start, length=min(stop - start, MAX_WINDOW))
        except HTTPException as error:
            raise StokerError(error.description or "it cannot be read") from None
        if window.start > start and skips:
            yield f"\n[stoker: bytes {start} to {window.start} were removed]\n".encode()
        elif window.start != start:
            return
        if not window.data:
            return
        yield window.data
        start = window.end


def _packed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    for piece in pieces:
        if data := packer.compress(piece):
            yield data
    yield packer.flush()
