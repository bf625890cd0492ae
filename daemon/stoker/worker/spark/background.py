"""Slow work in a thread, one piece at a time; its results are delivered in the loop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class BackgroundWorker:
    """``in_loop`` runs a call in the loop's thread; all methods are called there."""

    def __init__(self, name: str, in_loop: Callable[[Callable[[], None]], None]) -> None:
        self._name = name
        self._in_loop = in_loop
        self._pool: ThreadPoolExecutor | None = None
        self.is_busy = False

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """``done`` gets what ``work`` returned, or the OSError it raised."""
        self.is_busy = True
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix=self._name)

        def finish(result: Any) -> None:
            self.is_busy = False
            done(result)

        def run() -> None:
            try:
                result = work()
            except OSError as error:
                result = error
            self._in_loop(lambda: finish(result))

        self._pool.submit(run)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
