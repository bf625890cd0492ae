"""The keeper's end of its connection to the worker daemon. Standard library only, as all the keeper imports."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator

from stoker.worker.keeper.messages import FromKeeper, ToKeeper, encode, key_of, read_by_keeper

RECEIVE = 1 << 20  # bytes read at once


class DaemonConnection:
    """Serves one daemon at a time, the newest: it holds the slot's lock. ``silence``: seconds without a word after which a
    connected daemon counts as absent."""

    def __init__(self, listener: socket.socket, silence: float) -> None:
        self.listener = listener
        self.socket: socket.socket | None = None
        self._silence = silence
        self._inbox = b""
        self._outbox = b""
        self._heard = time.monotonic()

    @property
    def has_more_to_send(self) -> bool:
        return bool(self._outbox)

    @property
    def absence(self) -> float:
        """Return for how many seconds the daemon has been absent: disconnected, or silent for longer than
        ``silence``."""
        quiet = time.monotonic() - self._heard
        return quiet if self.socket is None else max(0.0, quiet - self._silence)

    def accept(self) -> None:
        """Accept a daemon of this user; close connections of other users."""
        connection, _ = self.listener.accept()
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != os.getuid():
            connection.close()
            return
        if self.socket is not None:
            self.socket.close()
        connection.setblocking(False)
        self.socket, self._inbox, self._outbox = connection, b"", b""
        self._heard = time.monotonic()

    def receive(self) -> Iterator[ToKeeper]:
        """Yield the received messages. A malformed one is logged; if it was a request to start a process, it is
        answered."""
        connection = self.socket
        assert connection is not None
        try:
            data = connection.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._heard = time.monotonic()
        if not data:
            connection.close()
            self.socket = None
            return
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        for line in lines:
            try:
                message = read_by_keeper(line)
            except ValueError as error:
                with contextlib.suppress(OSError):  # the log is on a full disk
                    print(f"dropped a malformed message: {str(error)!a}", file=sys.stderr, flush=True)
                key = key_of(line)
                if key and b'"spawn"' in line:
                    self.say({"op": "failed", "key": key, "errno": 0, "reason": f"malformed request: {error}"})
                continue
            if message is not None:
                yield message

    def say(self, message: FromKeeper) -> None:
        """Queue a message; never blocks. Without a connected daemon the message is dropped."""
        if self.socket is not None:
            self._outbox += encode(message)
            self.flush()

    def flush(self) -> None:
        if self.socket is None or not self._outbox:
            return
        try:
            sent = self.socket.send(self._outbox)
        except OSError:  # full; or closed, which the reading side will see
            return
        self._outbox = self._outbox[sent:]
