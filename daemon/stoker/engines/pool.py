"""Dask's workers as a ``concurrent.futures.Executor``."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import itertools
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import distributed
from toolz import compose, partition_all
from tqdm import tqdm

T = TypeVar("T")


class Pool(concurrent.futures.Executor):
    """Calls are run by the executors of an application, wherever it has some free. A call that was lost with its executor
    is run again, so it may run twice; everything else is as with Python's own pools.

    ``progress`` shows a bar on stderr while results of ``map`` are waited for (None: if that is a terminal).
    """

    def __init__(self, client: distributed.Client, *, progress: bool | None = None) -> None:
        self._client = client
        # Not pure: two calls with the same arguments are two calls.
        self._executor = client.get_executor(pure=False)
        self._mapped: weakref.WeakSet[distributed.Future] = weakref.WeakSet()
        self._progress = sys.stderr.isatty() if progress is None else progress
        self._is_shut_down = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        # Dask would take some keywords for its own.
        call = partial(fn, **kwargs) if kwargs else fn
        future: concurrent.futures.Future[T] = self._executor.submit(call, *args)
        return future

    def map(
        self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[T]:
        """Results in order. ``timeout`` in seconds from now, for all; ``chunksize`` calls are sent as one.

        Raises concurrent.futures.TimeoutError, and what a call raised.
        """
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        end = None if timeout is None else time.monotonic() + timeout
        chunks = list(partition_all(chunksize, zip(*iterables)))  # noqa: B905 - the shortest ends it, as of map
        run = compose(list, partial(itertools.starmap, fn))
        futures = self._client.map(run, chunks, pure=False) if chunks else []
        self._mapped.update(futures)
        bar = tqdm(total=sum(map(len, chunks)), disable=not self._progress, leave=False)
        for future, chunk in zip(futures, chunks, strict=True):
            if self._progress:
                future.add_done_callback(partial(_advance, bar, len(chunk)))
        return self._results(collections.deque(futures), end, bar)

    def _results(self, futures: collections.deque[distributed.Future], end: float | None, bar: Any) -> Iterator[T]:
        # A generator's body begins with its first result, and everything is under way by then.
        try:
            while futures:
                left = None if end is None else max(0.0, end - time.monotonic())
                try:
                    results = futures[0].result(left)
                except distributed.TimeoutError:
                    raise concurrent.futures.TimeoutError from None
                futures.popleft()
                yield from results
        finally:
            bar.close()
            self._client.cancel(list(futures))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more calls; the application and its executors stay."""
        self._is_shut_down = True
        mapped = list(self._mapped)
        if cancel_futures:
            self._client.cancel(mapped)
        elif wait:
            for (
                future
            ) in mapped:  # one by one: those of a map that was given up are cancelled, and not to be waited for
                with contextlib.suppress(concurrent.futures.CancelledError):
                    distributed.wait([future])
        self._executor.shutdown(wait=wait and not cancel_futures)


def _advance(bar: Any, count: int, _: distributed.Future) -> None:
    bar.update(count)
