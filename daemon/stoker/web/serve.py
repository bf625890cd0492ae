"""The dashboard's server: listens at once, loads Flask when somebody first looks.

A cluster of a thousand workers is mostly never looked at; until the first connection comes this is a bound socket and a
sleeping thread.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable
from typing import Any

from stoker.errors import ConfigError

LOG = logging.getLogger("stoker.web")
THREADS = 4
MAX_BODY = 65536  # bytes; the pages post nothing but ids
MAX_HEADER = 16384  # bytes
BACKLOG = 128


class LazyWebServer:
    """Binds in the constructor: ``port``, then +1 ... when it is taken, 0 for any. Raises ConfigError."""

    def __init__(self, host: str, port: int, make_app: Callable[[], Any], *, max_port_retries: int = 16) -> None:
        self._make_app = make_app
        self._socket = _bind(host, port, max_port_retries)
        self.port: int = self._socket.getsockname()[1]
        self._stop_read, self._stop_write = socket.socketpair()
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        readable, _, _ = select.select([self._socket, self._stop_read], [], [])
        if self._stop_read in readable:
            return
        from waitress.server import create_server  # noqa: PLC0415 - on the first visit

        logging.getLogger("waitress").setLevel(logging.ERROR)
        self._server = create_server(
            self._make_app(),
            sockets=[self._socket],
            threads=THREADS,
            max_request_body_size=MAX_BODY,
            max_request_header_size=MAX_HEADER,
            channel_timeout=30,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        try:
            self._server.run()
        except OSError:
            LOG.debug("the dashboard's socket was closed")

    def close(self) -> None:
        self._stop_write.send(b"\0")
        if self._server is not None:
            self._server.close()
        self._socket.close()


def _bind(host: str, port: int, retries: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tried = [0] if port == 0 else [port + offset for offset in range(retries + 1) if port + offset <= 65535]
    problem = ""
    for candidate in tried:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            problem = error.strerror or str(error)
            continue
        return listener
    raise ConfigError(f"the dashboard cannot listen on {host}, ports {tried[0]}-{tried[-1]}: {problem}")
