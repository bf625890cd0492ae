"""How the dashboard's threads ask a daemon: the question runs in the loop, the asker waits for the answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from stoker.errors import Refused, StokerError
from stoker.io.loop import Loop

T = TypeVar("T")
ANSWER_WITHIN = 10.0  # seconds


def ask_in_loop(loop: Loop, question: Callable[[], T]) -> T:
    """Run ``question`` in the loop and return its result. Raises what it raises, and Refused when the loop is too busy
    or has ended."""
    future: Future[T] = Future()

    def call() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(question())
        except StokerError as error:
            future.set_exception(error)

    loop.call_soon_threadsafe(call)
    try:
        return future.result(ANSWER_WITHIN)
    except FutureTimeout:
        future.cancel()
        raise Refused("the daemon is too busy to answer: try again") from None
