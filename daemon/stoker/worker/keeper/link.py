"""The daemon's end of its keeper: find the running keeper or start one, exchange messages, notice when it dies."""

from __future__ import annotations

import errno
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from stoker.errors import StokerError
from stoker.io.loop import Loop
from stoker.version import RELEASE
from stoker.worker.keeper.messages import FromKeeper, ToKeeper, encode, read_by_daemon
from stoker.worker.runas.starting import Starter

RECEIVE = 1 << 20  # bytes read at once
LOG = logging.getLogger("stoker.worker")


class KeeperLink:
    """Messages both ways are those of ``messages``. ``on_lost`` is called once, when the keeper has gone. ``starter`` starts
    keepers that can run jobs as other accounts."""

    def __init__(
        self,
        loop: Loop,
        slot: Path,
        *,
        on_message: Callable[[FromKeeper], None],
        on_lost: Callable[[], None],
        starter: Starter | None = None,
    ) -> None:
        self._loop = loop
        self._slot = slot
        self._starter = starter
        self._on_message = on_message
        self._on_lost = on_lost
        self._inbox = b""
        self._outbox = bytearray()
        self._socket: socket.socket | None = None

    def open(self, *, away: float, silence: float, grace: float, is_next: bool = False) -> None:
        """Connect to the slot's keeper; start one if there is none, or if the keeper before it has stopped (``is_next``): its
        socket may outlive it for a moment. Raises StokerError. Times in seconds."""
        running = None if is_next else self._connect()
        connection = running or self._start(away, silence, grace)
        connection.setblocking(False)
        self._socket = connection
        self._loop.add_reader(connection.fileno(), self._receive)

    def _connect(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._at_slot(connection.connect)
        except OSError as error:
            connection.close()
            if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
                return None
            raise StokerError(f"cannot reach the keeper in {self._slot}: {error.strerror}") from None
        return connection

    def _at_slot(self, call: Callable[[str], None]) -> None:
        """Connect through a descriptor of the folder: a unix socket's path is limited to 108 bytes, a folder's is
        not."""
        folder = os.open(self._slot, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            call(f"/proc/self/fd/{folder}/keeper.sock")
        finally:
            os.close(folder)

    def _start(self, away: float, silence: float, grace: float) -> socket.socket:
        """Start a keeper. Its socket listens before the process runs, so connecting never waits."""
        path = self._slot / "keeper.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            path.unlink(missing_ok=True)
            self._at_slot(listener.bind)
            listener.listen(4)
            options = {
                "journal": str(self._slot / "journal"),
                "away": str(away),
                "silence": str(silence),
                "grace": str(grace),
                "release": RELEASE,
            }
            with (self._slot / "keeper.log").open("ab") as log:
                if self._starter is not None:
                    self._starter.start(options, listener.fileno(), log.fileno())
                else:
                    self._popen(options, listener.fileno(), log)
        except OSError as error:
            raise StokerError(f"cannot start a keeper in {self._slot}: {error.strerror}") from None
        finally:
            listener.close()
        connection = self._connect()
        if connection is None:
            raise StokerError(f"the keeper did not start: see {self._slot / 'keeper.log'}")
        return connection

    def _popen(self, options: Mapping[str, str], listener: int, log: IO[bytes]) -> None:
        words = [f"--{name}={value}" for name, value in options.items()]
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("keeper.py")), f"--listen={listener}", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self._slot,
            start_new_session=True,
            pass_fds=[listener],
        )
        process.returncode = 0  # it outlives this process on purpose; nobody waits for it

    def say(self, message: ToKeeper) -> None:
        """Queue a message; never blocks."""
        if self._socket is None:
            return
        self._outbox += encode(message)
        self.flush()

    def flush(self) -> bool:
        """Write what fits; True when nothing is left."""
        if self._socket is None:
            return True
        while self._outbox:
            try:
                sent = self._socket.send(self._outbox)
            except BlockingIOError:
                return False
            except OSError:
                return True  # the reading side reports the loss
            del self._outbox[:sent]
        return True

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            self._on_lost()
            return
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        for line in lines:
            try:
                message = read_by_daemon(line)
            except ValueError as error:
                LOG.error("dropped a malformed message of the keeper: %s", error)
                continue
            if message is not None:
                self._on_message(message)

    def close(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
            self._inbox = b""
            self._outbox.clear()
