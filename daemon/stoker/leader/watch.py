"""Notice at once that the leader's process has exited: a standby keeps a plain TCP connection to it.

When a process dies, its kernel closes the connection. That alone proves nothing (a network may close connections too), so
the standby connects again: *refused* means that no process listens there. This counts only for a leader that has been
reached before, because a firewall may refuse, too. A wrong conclusion is harmless, because the epoch fences the old leader
off (docs/high-availability.md).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

CONNECT_WITHIN = 2.0  # seconds
FIRST_PAUSE = 0.01  # seconds; the pause after an inconclusive attempt doubles up to LONGEST_PAUSE
LONGEST_PAUSE = 0.5
LASTING = 1.0  # seconds; a connection that lasted longer resets the pause


class LeaderWatch:
    """Watches ``address`` (HOST:PORT) in its own thread, and calls ``on_gone`` there, once, when no process listens there."""

    def __init__(self, address: str, on_gone: Callable[[], None]) -> None:
        host, _, port = address.rpartition(":")
        self.address = address
        self._target = (host.strip("[]"), int(port))
        self._on_gone = on_gone
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._watch, name=f"watch-{address}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop watching. Returns at once; a call of ``on_gone`` may still be running."""
        with self._lock:
            self._stopped.set()
            if self._connection is not None:
                with contextlib.suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)

    def _watch(self) -> None:
        reached, in_vain = False, 0
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                with socket.create_connection(self._target, CONNECT_WITHIN) as connection:
                    reached = True
                    self._wait_for_end(connection)
            except ConnectionRefusedError:
                if reached and not self._stopped.is_set():
                    self._on_gone()
                    return
            except ConnectionResetError:  # while connecting: something listened
                reached = True
            except OSError:
                pass
            if time.monotonic() - began > LASTING:
                in_vain = 0
                continue
            # The kernel of a killed process resets its connections before it closes the port: look again soon.
            self._stopped.wait(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(in_vain, 10)))
            in_vain += 1

    def _wait_for_end(self, connection: socket.socket) -> None:
        """Wait until the connection closes; received bytes are ignored. A master closes silent connections after a while,
        and the watch then connects again."""
        with self._lock:
            if self._stopped.is_set():
                return
            self._connection = connection
        connection.settimeout(None)
        try:
            while connection.recv(4096):
                pass
        except OSError:
            return  # a reset is an end, too
        finally:
            with self._lock:
                self._connection = None
