"""The dashboard's server: it listens at once and loads Flask on the first visit.

Most workers' dashboards are never visited; until the first connection this is a bound socket and a sleeping thread.
"""

from __future__ import annotations

import logging
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stoker.errors import ConfigError

if TYPE_CHECKING:
    from stoker.web.http import DashboardServer

LOG = logging.getLogger("stoker.web")
BACKLOG = 128
CLOSE_WITHIN = 2.0  # seconds; a page that takes longer is cut off


class LazyWebServer:
    """Binds in the constructor: ``port``, then +1 ... ``max_port_retries`` times while it is taken; 0 for any. Raises
    ConfigError, naming ``option`` as what to change. ``make_app`` imports and makes the WSGI application; it is called
    once, in the server's own thread. ``tls``: speak HTTPS. ``max_body`` is the largest request, in bytes."""

    def __init__(
        self,
        host: str,
        port: int,
        make_app: Callable[[], Any],
        *,
        max_port_retries: int = 16,
        tls: ssl.SSLContext | None = None,
        max_body: int = 64 * 1024,
        option: str = "--webui-port",
    ) -> None:
        self._make_app = make_app
        self._tls = tls
        self._max_body = max_body
        self._listener = _bind(host, port, max_port_retries, option)
        self.port: int = self._listener.getsockname()[1]
        self._wake_read, self._wake_write = socket.socketpair()
        self._lock = threading.Lock()
        self._server: DashboardServer | None = None
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop. Nothing is listening when it returns. Idempotent."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            if self._server is not None:
                self._server.stop()
        self._wake_write.send(b"\0")
        if self._thread is not None:
            self._thread.join(CLOSE_WITHIN)
        for end in (self._listener, self._wake_read, self._wake_write):
            end.close()

    def _serve(self) -> None:
        """Serve until closed. If the dashboard fails, the daemon goes on and visitors are refused instead of left waiting."""
        if not self._somebody_comes():
            return
        try:
            server = self._make_server()
            if server is not None:
                server.run()
        except (
            ImportError,
            SyntaxError,
        ) as error:  # modules that are loaded now do not fit those that were loaded at the start
            LOG.error(
                "the dashboard stays closed: its code has changed since this daemon started; start the daemon again, for"
                " example with 'make start' (%s)",
                error,
            )
            self._listener.close()
        except Exception:
            LOG.exception("the dashboard has failed and stays closed until the daemon is restarted")
            self._listener.close()

    def _somebody_comes(self) -> bool:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        return self._wake_read.fileno() not in {descriptor for descriptor, _ in poll.poll()}

    def _make_server(self) -> DashboardServer | None:
        """Return the server; None when it was closed in the meantime."""
        from stoker.web.http import DashboardServer  # noqa: PLC0415 - on the first visit

        logging.getLogger("waitress").setLevel(logging.ERROR)
        app = self._make_app()
        with self._lock:
            if not self._closing:
                self._server = DashboardServer(app, self._listener, tls=self._tls, max_body=self._max_body)
            return self._server


def _bind(host: str, port: int, retries: int, option: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    candidates = [port] if port == 0 else range(port, min(port + retries, 65535) + 1)
    problem = ""
    for candidate in candidates:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, candidate))
            listener.listen(BACKLOG)
            if candidate != port:
                LOG.warning(
                    "port %d at %s is taken by another program: listening on port %d instead", port, host, candidate
                )
            return listener
        except (OSError, UnicodeError) as error:  # UnicodeError: a label of the name is too long
            listener.close()
            problem = getattr(error, "strerror", None) or str(error)
    tried = f"port {port}" if len(candidates) < 2 else f"ports {candidates[0]}-{candidates[-1]}"
    raise ConfigError(f"cannot listen on {host} {tried}: {problem}; choose another with {option}")
