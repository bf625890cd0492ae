"""ZeroMQ's contexts. ZeroMQ aborts the process if it cannot start a thread or open a descriptor, so both are tried first."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from typing import Any

import zmq

THREADS = 2  # of a context: one for I/O, one that closes sockets
DESCRIPTORS = 16  # of a context, its first sockets and their connections


def new_context() -> zmq.Context[Any]:
    """Return a context with one I/O thread: the order of monitor events and messages that ``io.presence`` relies on holds
    within one thread.

    Raises RuntimeError if no thread can be started, OSError if too few descriptors are free.
    """
    _try_descriptors()
    _try_threads()
    return zmq.Context(io_threads=1)


def _try_descriptors() -> None:
    with ExitStack() as opened:
        for _ in range(DESCRIPTORS):
            opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))


def _try_threads() -> None:
    release = threading.Event()
    threads = []
    try:
        for _ in range(THREADS):
            thread = threading.Thread(target=release.wait, daemon=True)
            thread.start()
            threads.append(thread)
    finally:
        release.set()
        for thread in threads:
            thread.join()
