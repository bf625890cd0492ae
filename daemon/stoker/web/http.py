"""waitress, with limits that stop a hostile client before it affects others.

Loaded on the first visit (``serve``). One thread moves bytes, a few run pages, and none of them waits for a client: a
request reaches a page when it is complete, and the answer is buffered until the client has read it.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from stoker.config.web import TlsContext
from stoker.errors import ConfigError
from stoker.web.channel import Channel
from stoker.web.tls import TlsChannel

LOG = logging.getLogger("stoker.web")
THREADS = 4
MAX_CONNECTIONS = 500
MAX_BODY = 64 * 1024  # bytes; pages post ids only
MAX_HEADER = 16 * 1024  # bytes
BACKLOG = 128
REQUEST_WITHIN = 10.0  # seconds from a request's first byte to its last
IDLE = 30.0  # seconds a connection may stay without a byte in either direction
LOOK_EVERY = 2  # seconds between checks for overdue connections
_NEVER = 1 << 40  # bytes: no page is that large


class DashboardServer(TcpWSGIServer):  # type: ignore[misc]
    """Serves ``application`` on ``listener``, a bound and listening socket. ``run`` returns after ``stop``. ``max_body``
    is in bytes, the other limits are in seconds."""

    def __init__(
        self,
        application: Any,
        listener: socket.socket,
        *,
        tls: ssl.SSLContext | None = None,
        max_body: int = MAX_BODY,
        request_within: float = REQUEST_WITHIN,
        idle: float = IDLE,
    ) -> None:
        self.tls = tls
        self.channel_class = Channel if tls is None else TlsChannel
        self.request_within = request_within
        self.idle = idle
        self.senders: set[Channel] = set()  # those with a thread of their own, which may wake this server's thread
        self._stopping = False
        self._lock = threading.Lock()
        adjustments = Adjustments(
            sockets=[listener],
            threads=THREADS,
            backlog=BACKLOG,
            connection_limit=MAX_CONNECTIONS * 2,  # never reached: ``handle_accept`` makes room first
            max_request_body_size=max_body,
            max_request_header_size=MAX_HEADER,
            outbuf_high_watermark=_NEVER,  # else a slow reader of a large answer would hold a thread
            cleanup_interval=LOOK_EVERY,
            log_socket_errors=False,
            ident=None,
            clear_untrusted_proxy_headers=False,  # nothing trusts them, but they reveal a proxy
            url_scheme="http" if tls is None else "https",
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
        """Close all connections, also those being answered. Thread-safe."""
        with self._lock:
            if not self._stopping:
                self._stopping = True
                self.trigger.pull_trigger()

    def _close_all(self) -> None:
        """Keep the wake-up pipe while a page or a download may write to it: its descriptor must not be reused by then."""
        with self._lock:
            self._stopping = True
            if self.task_dispatcher.threads or self.senders:
                self.trigger.del_channel()
            for channel in list(self.active_channels.values()):
                channel.handle_close()  # its buffers too, which close() leaves open: a large one is a file
            wasyncore.close_all(self._map, ignore_all=True)

    def maintenance(self, now: float) -> None:
        if isinstance(self.tls, TlsContext):
            try:
                if self.tls.renew():
                    LOG.info("TLS: the new certificate is in use")
            except ConfigError as error:
                LOG.error("TLS: the certificate in use stays: %s", error)
        for channel in self.active_channels.values():
            if channel.is_overdue(now):
                channel.will_close = True

    def handle_accept(self) -> None:
        """Accept a connection. At the limit, the one that has been idle longest is closed (in the next round: its descriptor
        must not be reused in this one)."""
        if len(self.active_channels) >= MAX_CONNECTIONS:
            waiting = [c for c in self.active_channels.values() if not c.is_at_work and not c.will_close]
            if waiting:
                min(waiting, key=lambda channel: (channel.is_stream, channel.creation_time)).will_close = True
        super().handle_accept()
