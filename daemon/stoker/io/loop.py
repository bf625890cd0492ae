"""The one thread of a daemon: a poller, wake-ups from elsewhere, and a deadline.

A round is: wait until a source is readable, a call was handed in, or the deadline has come; run the callbacks; then
``on_round`` once, which does the batch's work and names the next deadline (DESIGN section 1: decide on events, commit
and schedule once a batch).
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Union

import zmq

Source = Union["zmq.Socket[Any]", int]

_LONGEST_POLL_MS = 60_000  # a bound, so that no arithmetic of a caller can make poll() refuse its argument


class Loop:
    """One ``zmq.Poller``, one thread. All methods but ``call_soon_threadsafe`` and ``stop`` belong to that thread.

    An exception out of a callback or of ``on_round`` leaves ``run``: a daemon whose own code failed must not go on.
    """

    def __init__(self, context: zmq.Context[Any] | None = None) -> None:
        self._owns_context = context is None
        # One I/O thread: the order of monitor events and messages that io.presence relies on holds within one thread.
        self.context: zmq.Context[Any] = zmq.Context(io_threads=1) if context is None else context
        self._poller = zmq.Poller()
        self._readers: dict[Source, Callable[[], None]] = {}
        self._calls: deque[Callable[[], None]] = deque()  # appends are atomic: no lock a signal handler could hold
        self._stopping = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.add_reader(self._wake_read, self._on_wake)

    def add_reader(self, source: Source, callback: Callable[[], None]) -> None:
        """Call ``callback`` in every round in which ``source`` (a ZeroMQ socket or a file descriptor) is readable.

        Level-triggered: it is called again until the source has been read. A second call replaces the callback.
        """
        self._readers[source] = callback
        self._poller.register(source, zmq.POLLIN)

    def remove_reader(self, source: Source) -> None:
        """Forget ``source``; do so before closing it. One that is not known is ignored."""
        if self._readers.pop(source, None) is not None:
            self._poller.unregister(source)

    def call_soon_threadsafe(self, fn: Callable[[], None]) -> None:
        """Run ``fn`` in the loop's thread, in its next round. For other threads and for signal handlers."""
        self._calls.append(fn)
        self._wake()

    def run(self, on_round: Callable[[], float | None]) -> None:
        """Run rounds until ``stop``. ``on_round`` returns the next deadline (``time.monotonic()`` seconds) or None."""
        self._stopping = False
        deadline: float | None = time.monotonic()  # the first round does not wait: it is what asks for a deadline
        while not self._stopping:
            for source, _ in self._poller.poll(_poll_ms(deadline)):
                callback = self._readers.get(source)
                if callback is not None:  # an earlier callback of this round may have removed it
                    callback()
            for _ in range(len(self._calls)):  # those handed in meanwhile wait for the next round
                self._calls.popleft()()
            deadline = on_round()
        self._stopping = False

    def stop(self) -> None:
        """Leave ``run`` after the round under way. From any thread or signal handler."""
        self._stopping = True
        self._wake()

    def close(self) -> None:
        """Free the loop's own resources (and the context, where the loop made it; its sockets must be closed)."""
        self.remove_reader(self._wake_read)
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self._owns_context:
            self.context.term()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes the poller as well as one more byte would
            os.write(self._wake_write, b"\0")

    def _on_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._wake_read, 4096)) == 4096:
                pass


def _poll_ms(deadline: float | None) -> int:
    if deadline is None:
        return _LONGEST_POLL_MS
    # Rounded up: waking a fraction of a millisecond early would spin until the deadline.
    return max(0, min(_LONGEST_POLL_MS, math.ceil((deadline - time.monotonic()) * 1000)))
