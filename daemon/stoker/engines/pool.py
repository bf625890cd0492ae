"""Dask's workers as a ``concurrent.futures.Executor``."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import distributed
from distributed.protocol.pickle import dumps
from toolz import partition_all
from tqdm import tqdm

T = TypeVar("T")


def _caller() -> Callable[..., Any]:
    """Return the function that workers run. It unpacks a call inside the task, so that a missing module is the exception of
    that call. Dask unpacks calls before the task: when that fails, it loses the worker, and then the next one.

    A nested function is sent as code: the worker need not have Stoker.
    """

    def call(packed: bytes) -> Any:
        from distributed.protocol.pickle import loads  # noqa: PLC0415 - it runs elsewhere

        function, args = loads(packed)
        return function(*args)

    return call


class ExecutorPool(concurrent.futures.Executor):
    """Runs calls on the executors of an application. A call that was lost with its executor is run again, so it may run
    twice; everything else is as with Python's own pools.

    ``progress``: whether ``map`` shows a bar on stderr (None: if stderr is a terminal).
    """

    def __init__(self, client: distributed.Client, *, progress: bool | None = None) -> None:
        self._client = client
        # Not pure: two calls with the same arguments are two calls.
        self._executor = client.get_executor(pure=False)
        self._mapped: weakref.WeakSet[distributed.Future] = weakref.WeakSet()
        self._progress = sys.stderr.isatty() if progress is None else progress
        self._is_shut_down = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Raises RuntimeError after ``shutdown``, or when the application is closed."""
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self._check_open()
        # Dask would take some keywords for its own.
        packed = dumps((partial(fn, **kwargs) if kwargs else fn, args))
        future: concurrent.futures.Future[T] = self._executor.submit(_caller(), packed)
        return future

    def map(
        self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[T]:
        """Results in order. ``timeout`` in seconds from now, for all; ``chunksize`` calls are sent as one.

        Raises concurrent.futures.TimeoutError, and what a call raised; RuntimeError for results that are asked for after the
        application was closed.
        """
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self._check_open()
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        end = None if timeout is None else time.monotonic() + timeout
        chunks = list(partition_all(chunksize, zip(*iterables)))  # noqa: B905 - the shortest ends it, as of map
        each = _mapped()
        packed = [dumps((each, (fn, chunk))) for chunk in chunks]
        futures = self._client.map(_caller(), packed, pure=False) if chunks else []
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
                self._check_open()
                try:
                    results = futures[0].result(left)
                except distributed.TimeoutError:
                    raise concurrent.futures.TimeoutError from None
                futures.popleft()
                yield from results
        finally:
            bar.close()
            if self._is_open():
                self._client.cancel(list(futures))

    def _is_open(self) -> bool:
        return self._client.status not in ("closing", "closed")

    def _check_open(self) -> None:
        if not self._is_open():
            raise RuntimeError("the application is closed: use the pool, and read its results, inside its `with` block")

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


def _mapped() -> Callable[..., Any]:
    """What ``map`` runs for a chunk, by its code as ``_caller``."""

    def each(function: Callable[..., Any], chunk: Iterable[tuple[Any, ...]]) -> list[Any]:
        return [function(*args) for args in chunk]

    return each


def _advance(bar: Any, count: int, _: distributed.Future) -> None:
    bar.update(count)
