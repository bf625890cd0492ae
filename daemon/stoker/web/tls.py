"""A connection of ``http`` over TLS."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from typing import Any

from stoker.web.channel import Channel


class TlsChannel(Channel):
    """The handshake is part of the first read. A lock guards the TLS state: page threads write, the server's thread reads."""

    def __init__(self, server: Any, sock: socket.socket, *args: Any, **options: Any) -> None:
        self._tls_lock = threading.Lock()
        wrapped = server.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        super().__init__(server, wrapped, *args, **options)

    def handle_read(self) -> None:
        try:
            with self._tls_lock:
                data = self._read()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:  # also bytes that are not TLS
            self.handle_close()
            return
        if not data:
            self.handle_close()
            return
        self.last_activity = time.time()
        self.received(data)

    def _read(self) -> bytes:
        """Read everything that is already decrypted: poll() does not report it."""
        data: bytes = self.socket.recv(self.adj.recv_bytes)
        while data and (more := self.socket.pending()):
            data += self.socket.recv(more)
        return data

    def send(self, data: bytes, do_close: bool = True) -> int:
        try:
            with self._tls_lock:
                sent: int = self.socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError:
            if do_close:
                self.handle_close()
            return 0
        return sent
