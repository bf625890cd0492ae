"""The one thread of a daemon: a poller, wake-ups from elsewhere, and a deadline.

A round is: wait until a source is readable, a call was handed in, or the deadline has come; run the callbacks; then
``on_round`` once, which does the batch's work and names the next deadline (docs/architecture.md: decide on events, commit
and schedule once a batch).
"""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from stoker.io.context import new_context
from stoker.io.transport import Source

_LONGEST_POLL_MS = 60_000  # a bound, so that no arithmetic of a caller can make poll() refuse its argument


class Loop:
    """One ``zmq.Poller``, one thread. All methods but ``call_soon_threadsafe``, ``wake`` and ``stop`` belong to that thread.

    An exception out of a callback or of ``on_round`` leaves ``run``: a daemon whose own code failed must not go on.
    """

    def __init__(self, context: zmq.Context[Any] | None = None) -> None:
        self._owns_context = context is None
        self.context: zmq.Context[Any] = new_context() if context is None else context
        self._poller = zmq.Poller()
        self._readers: dict[Source, Callable[[], None] | None] = {}
        self._calls: deque[Callable[[], None]] = deque()  # appends are atomic: no lock a signal handler could hold
        self._stopping = False
        # Sockets, not a pipe: a late wake-up after close() fails instead of writing to whatever has the number now.
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self.add_reader(self._wake_read.fileno(), self._on_wake)

    def add_reader(self, source: Source, callback: Callable[[], None] | None = None) -> None:
        """Call ``callback`` in every round in which ``source`` (a ZeroMQ socket or a file descriptor) is readable. Without
        one, a readable source only starts a round, whose ``on_round`` reads it.

        Level-triggered: it is called again until the source has been read. A second call replaces the callback.
        """
        self._readers[source] = callback
        self._poller.register(source, zmq.POLLIN)

    def remove_reader(self, source: Source) -> None:
        """Forget ``source``; do so before closing it. One that is not known is ignored."""
        if source in self._readers:
            del self._readers[source]
            self._poller.unregister(source)

    def call_soon_threadsafe(self, fn: Callable[[], None]) -> None:
        """Run ``fn`` in the loop's thread, in its next round. For other threads and for signal handlers."""
        self._calls.append(fn)
        self.wake()

    def run(self, on_round: Callable[[], float | None]) -> None:
        """Run rounds until ``stop``. ``on_round`` returns the next deadline (``time.monotonic()`` seconds) or None."""
        deadline: float | None = time.monotonic()  # the first round does not wait: it is what asks for a deadline
        try:
            while True:
                for source, _ in self._poller.poll(_poll_ms(deadline)):
                    callback = self._readers.get(source)
                    if callback is not None:  # an earlier callback of this round may have removed it
                        callback()
                for _ in range(len(self._calls)):  # those handed in meanwhile wait for the next round
                    self._calls.popleft()()
                deadline = on_round()
                if self._stopping:
                    return
        finally:
            self._stopping = False

    def stop(self) -> None:
        """Leave ``run`` after the round under way (or, between runs, after the first). From anywhere, as above."""
        self._stopping = True
        self.wake()

    def close(self) -> None:
        """Free the loop's own resources (and the context, where the loop made it; its sockets must be closed)."""
        self.remove_reader(self._wake_read.fileno())
        self._wake_read.close()
        self._wake_write.close()
        if self._owns_context:
            self.context.term()

    def wake(self) -> None:
        """Start the next round now, if it waits. From any thread, and from signal handlers."""
        with contextlib.suppress(OSError):  # full: one more byte would wake no better; closed: nobody is to be woken
            self._wake_write.send(b"\0")

    def _on_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while len(self._wake_read.recv(4096)) == 4096:
                pass


def _poll_ms(deadline: float | None) -> int:
    if deadline is None:
        return _LONGEST_POLL_MS
    # Rounded up: waking a fraction of a millisecond early would spin until the deadline.
    return max(0, math.ceil(min(_LONGEST_POLL_MS, (deadline - time.monotonic()) * 1000)))
