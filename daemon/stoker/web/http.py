"""waitress, with limits that a hostile browser meets before anybody else notices it.

Loaded on the first visit only (``serve``). One thread moves bytes, a few run pages; none of them ever waits for a
browser: a request reaches a page when it is complete, and what a page made is buffered until its reader takes it.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask

from stoker.io.peer_user import is_own_or_root, peer_user
from stoker.web.access.policy import LOCAL_USER

THREADS = 4
MAX_CONNECTIONS = 500
MAX_BODY = 64 * 1024  # bytes; the pages post nothing but ids
MAX_HEADER = 16 * 1024  # bytes
BACKLOG = 128
REQUEST_WITHIN = 10.0  # seconds from a request's first byte to its last
IDLE = 30.0  # seconds a connection may stay without a byte in either direction
LOOK_EVERY = 2  # seconds between looks for connections that are overdue
_NEVER = 1 << 40  # bytes: no page is that large


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    """What waitress itself refuses (malformed, too large), in our words: it has no Server header and names no software."""

    def execute(self) -> None:
        error = self.request.error
        self.status = f"{error.code} {error.reason}"
        kind, body = "text/plain; charset=utf-8", f"{self.status}\n"
        path = getattr(self.request, "path", "")  # there is none when the request line is malformed
        if path.startswith(("/json", "/api")):
            kind, body = "application/json", json.dumps({"error": error.reason, "status": error.code})
        self.response_headers += [("Content-Type", kind), ("X-Content-Type-Options", "nosniff")]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body.encode())


class _Task(WSGITask):  # type: ignore[misc]
    def get_environment(self) -> Any:
        environ = super().get_environment()
        environ[LOCAL_USER] = self.channel.is_of_local_user
        return environ


class _Channel(HTTPChannel):  # type: ignore[misc]
    task_class = _Task
    error_task_class = _ErrorTask
    request_began = 0.0  # when the first byte of the request came that is not complete yet
    _of_local_user: bool | None = None

    def is_of_local_user(self) -> bool:
        """Asked of the kernel once: a connection does not change hands unnoticed by those who hold it."""
        if self._of_local_user is None:
            self._of_local_user = is_own_or_root(peer_user(self.socket))
        return self._of_local_user

    def received(self, data: bytes) -> Any:
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


class DashboardServer(TcpWSGIServer):  # type: ignore[misc]
    """Serves ``application`` on ``listener``, which is bound and listens. ``run`` returns after ``stop``; both limits are in
    seconds."""

    channel_class = _Channel

    def __init__(
        self, application: Any, listener: socket.socket, *, request_within: float = REQUEST_WITHIN, idle: float = IDLE
    ) -> None:
        self.request_within = request_within
        self.idle = idle
        self._stopping = False
        self._lock = threading.Lock()
        adjustments = Adjustments(
            sockets=[listener],
            threads=THREADS,
            backlog=BACKLOG,
            connection_limit=MAX_CONNECTIONS * 2,  # never met: ``handle_accept`` makes room before
            max_request_body_size=MAX_BODY,
            max_request_header_size=MAX_HEADER,
            outbuf_high_watermark=_NEVER,  # else a slow reader of a large answer would hold a thread
            cleanup_interval=LOOK_EVERY,
            log_socket_errors=False,
            ident=None,
        )
        where = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(application, _sock=listener, adj=adjustments, bind_socket=False, sockinfo=where)

    def run(self) -> None:
        try:
            while not self._stopping:  # with poll(), as select() ends at descriptor 1023
                wasyncore.loop(timeout=LOOK_EVERY, use_poll=True, map=self._map, count=1)
        finally:
            self.task_dispatcher.shutdown(timeout=1)
            self._close_all()

    def stop(self) -> None:
        """Thread-safe. Ends all connections, also those being answered."""
        with self._lock:
            if not self._stopping:
                self._stopping = True
                self.trigger.pull_trigger()

    def _close_all(self) -> None:
        """The wake-up pipe is kept while a page still runs that will write to it: its descriptor must not mean another
        file by then."""
        with self._lock:
            self._stopping = True
            if self.task_dispatcher.threads:
                self.trigger.del_channel()
            wasyncore.close_all(self._map, ignore_all=True)

    def maintenance(self, now: float) -> None:
        for channel in self.active_channels.values():
            if channel.is_overdue(now):
                channel.will_close = True

    def handle_accept(self) -> None:
        """A newcomer is always let in: when the house is full, the one goes that has been here longest without asking
        anything. (It goes in the next round: its descriptor must not be re-used in this one.)"""
        if len(self.active_channels) >= MAX_CONNECTIONS:
            waiting = [c for c in self.active_channels.values() if not c.is_at_work and not c.will_close]
            if waiting:
                min(waiting, key=lambda channel: channel.creation_time).will_close = True
        super().handle_accept()
