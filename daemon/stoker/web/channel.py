"""One connection to the server of ``http``: its requests, and streams that hold no thread."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Any

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.task import ErrorTask, WSGITask

from stoker.errors import StokerError
from stoker.io.peer_log import PeerLog
from stoker.io.peer_user import is_own_or_root, name_of_user, peer_user
from stoker.web.access.policy import LOCAL_USER

LOG = logging.getLogger("stoker.web")
PEERS = PeerLog(LOG)
_ZEROMQ = b"\xff"  # the first byte of a ZeroMQ peer, which sends no line and would wait for an answer indefinitely
_MALFORMED = b"ZMTP\r\n\r\n"
STREAM = "stoker.stream"  # WSGI environment: call it with a function that gets the channel once the head is sent
SEND = "stoker.send"  # WSGI environment: call it with an iterator of bytes, which a thread of its own sends as the body
MAX_BEHIND = (
    256 * 1024
)  # bytes of a stream that its reader has not read; then the connection is closed, or its sender waits
LOOK_AGAIN = 1.0  # seconds between checks of a sender whether its reader has gone


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    """The answer to what waitress itself rejects (malformed, too large): without a Server header or a product name."""

    def execute(self) -> None:
        error = self.request.error
        self.status = f"{error.code} {error.reason}"
        kind, body = "text/plain; charset=utf-8", f"{self.status}\n"
        path = getattr(self.request, "path", "")  # there is none when the request line is malformed
        if path.startswith(("/json", "/api")):
            kind, body = "application/json", json.dumps({"error": error.reason, "status": error.code})
        elif path.startswith("/v1/"):
            kind, body = "application/json", json.dumps({"action": "ErrorResponse", "message": error.reason})
        self.response_headers += [("Content-Type", kind), ("X-Content-Type-Options", "nosniff")]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body.encode())


class _Task(WSGITask):  # type: ignore[misc]
    _streamer: Callable[[Channel], None] | None = None

    def get_environment(self) -> Any:
        environ = super().get_environment()
        environ[LOCAL_USER] = self.channel.local_user
        environ[STREAM] = self._stream_to
        environ[SEND] = lambda pieces: self._stream_to(lambda channel: channel.send_all(pieces))
        return environ

    def _stream_to(self, streamer: Callable[[Channel], None]) -> None:
        self._streamer = streamer

    def finish(self) -> None:
        if self._streamer is None:
            super().finish()
            return
        if not self.wrote_header:
            self.write(b"")
        self.close_on_finish = False
        self.channel.begin_stream(self._streamer, is_chunked=self.chunked_response)


class Channel(HTTPChannel):  # type: ignore[misc]
    task_class = _Task
    error_task_class = _ErrorTask
    request_began = 0.0  # when the first byte of the incomplete request arrived
    is_stream = False
    _is_chunked = False
    _local_user: str | None = None

    def local_user(self) -> str:
        """Return the peer's unix name if it is the daemon's own user or root, else "". The kernel is asked once; the answer
        holds for the whole connection."""
        if self._local_user is None:
            user = peer_user(self.socket)
            self._local_user = name_of_user(user) if user is not None and is_own_or_root(user) else ""
        return self._local_user

    def received(self, data: bytes) -> Any:
        if self.is_stream:  # the reader of a stream has nothing to send
            self.will_close = True
            return False
        if data.startswith(_ZEROMQ) and self.request is None:
            data = _MALFORMED  # the answer tells that client at once that no master listens here
        if self.request is None:
            self.request_began = time.time()
        return super().received(data)

    @property
    def is_at_work(self) -> bool:
        return bool(self.requests)

    def is_overdue(self, now: float) -> bool:
        if self.is_at_work:
            return False
        if self.request is not None and now - self.request_began > self.server.request_within:
            return True
        return bool(now - self.last_activity > self.server.idle)

    # --- streams ---

    def begin_stream(self, streamer: Callable[[Channel], None], *, is_chunked: bool) -> None:
        self.is_stream, self._is_chunked = True, is_chunked
        streamer(self)

    def push(self, data: bytes) -> bool:
        """Send a piece of the stream, from any thread, without waiting. False when the reader is gone or too slow."""
        if not self.connected or self.will_close:
            return False
        if self.total_outbufs_len > MAX_BEHIND:
            self.will_close = True
            self.server.pull_trigger()
            return False
        return self._write(data)

    def hang_up(self) -> None:
        """Close the connection, from any thread. What was not sent yet is lost."""
        self.will_close = True
        self.server.pull_trigger()

    def send_all(self, pieces: Generator[bytes, None, None]) -> None:
        """Send all pieces and close the connection, in a thread of its own, which waits for a slow reader. A reader that goes
        or stops reading, or an error of ``pieces``, ends it early: the reader misses the end of the body, or bytes of it."""
        self.server.senders.add(self)
        threading.Thread(target=self._send_pieces, args=(pieces,), name="download", daemon=True).start()

    def _send_pieces(self, pieces: Generator[bytes, None, None]) -> None:
        try:
            self._send_until_done(pieces)
        finally:
            self.server.senders.discard(self)

    def _send_until_done(self, pieces: Generator[bytes, None, None]) -> None:
        is_sent, connection = False, self.socket  # which becomes None when it is closed
        reader = str(self.addr[0]) if self.addr else "?"
        try:
            with closing(pieces):
                is_sent = all(self._has_room() and self._write(piece) for piece in pieces)
        except StokerError as error:
            PEERS.warning(reader, "download", f"a download by {reader} ended early: {error}")
        except Exception:
            LOG.exception("a download failed")
        if is_sent:
            self._end_stream()
        else:
            with suppress(OSError, AttributeError):
                connection.shutdown(socket.SHUT_RDWR)  # the server's thread notices, and closes the connection

    def _has_room(self) -> bool:
        """Wait until the reader has read most of what was sent. False when it is gone."""
        with self.outbuf_lock:
            while self.connected and not self.will_close and self.total_outbufs_len > MAX_BEHIND:
                self.outbuf_lock.wait(LOOK_AGAIN)
        return bool(self.connected and not self.will_close)

    def _write(self, data: bytes) -> bool:
        try:
            self.write_soon(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)
        except ClientDisconnected:
            return False
        return True

    def _end_stream(self) -> None:
        with suppress(ClientDisconnected):
            self.write_soon(b"0\r\n\r\n" if self._is_chunked else b"")
        self.close_when_flushed = True
        self.server.pull_trigger()

    def readable(self) -> Any:
        """Always true for a stream: reading is how its end is noticed."""
        return not self.will_close if self.is_stream else super().readable()

    def handle_write(self) -> None:
        """Take the lock that waitress leaves out between requests: a stream writes at exactly that time."""
        if not self.is_stream:
            super().handle_write()
            return
        self._flush_exception(self._flush_some_if_lockable)
        if self.close_when_flushed and not self.total_outbufs_len:
            self.will_close = True
        if self.will_close:
            self.handle_close()
