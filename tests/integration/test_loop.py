"""``io.loop``: rounds, wake-ups from threads and signal handlers, deadlines."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import zmq

from stoker.io.loop import Loop

DEADLINE = 20.0


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def run(loop: Loop, condition: Callable[[], object]) -> int:
    """Run until ``condition``, with no other deadline than failure; the number of rounds."""
    end = time.monotonic() + DEADLINE
    rounds = 0

    def on_round() -> float:
        nonlocal rounds
        rounds += 1
        if condition():
            loop.stop()
        assert time.monotonic() < end, "nothing woke the loop"
        return end

    loop.run(on_round)
    return rounds


def test_the_first_round_comes_at_once(loop: Loop) -> None:
    assert run(loop, lambda: True) == 1


def test_sockets_and_descriptors_are_readers(loop: Loop) -> None:
    pull, push = loop.context.socket(zmq.PULL), loop.context.socket(zmq.PUSH)
    pull.bind("inproc://test")
    push.connect("inproc://test")
    read, write = os.pipe()
    heard: list[object] = []
    loop.add_reader(pull, lambda: heard.append(pull.recv()))
    loop.add_reader(read, lambda: heard.append(os.read(read, 1)))
    push.send(b"a")
    run(loop, lambda: heard == [b"a"])
    os.write(write, b"bc")  # level-triggered: what is left wakes again
    run(loop, lambda: heard == [b"a", b"b", b"c"])
    loop.remove_reader(pull)
    loop.remove_reader(read)
    loop.remove_reader(read)  # once is enough, twice is harmless
    for descriptor in read, write:
        os.close(descriptor)
    pull.close()
    push.close()


def test_a_reader_removed_by_another_of_the_same_round_is_not_called(loop: Loop) -> None:
    pipes = [os.pipe(), os.pipe()]
    called: list[int] = []

    def callback(mine: int, other: int) -> None:
        called.append(mine)
        loop.remove_reader(other)
        loop.remove_reader(mine)

    (first, _), (second, _) = pipes
    loop.add_reader(first, lambda: callback(first, second))
    loop.add_reader(second, lambda: callback(second, first))
    for _, write in pipes:
        os.write(write, b"x")
    run(loop, lambda: called)
    assert len(called) == 1
    for descriptor in (descriptor for pipe in pipes for descriptor in pipe):
        os.close(descriptor)


def test_calls_from_another_thread_arrive_in_order_and_wake_the_loop(loop: Loop) -> None:
    heard: list[tuple[int, int]] = []
    inside = threading.get_ident()

    def note(number: int) -> None:
        heard.append((number, threading.get_ident()))

    def work() -> None:
        for number in range(100_000):  # more than a pipe holds
            loop.call_soon_threadsafe(partial(note, number))

    thread = threading.Thread(target=work)
    thread.start()
    run(loop, lambda: len(heard) == 100_000)
    thread.join()
    assert heard == [(number, inside) for number in range(100_000)]


def test_a_call_handed_in_by_a_call_runs_in_the_next_round(loop: Loop) -> None:
    rounds: list[int] = []
    now = 0

    def again() -> None:
        rounds.append(now)
        if len(rounds) < 3:
            loop.call_soon_threadsafe(again)

    def on_round() -> None:
        nonlocal now
        now += 1
        if len(rounds) == 3:
            loop.stop()

    loop.call_soon_threadsafe(again)
    loop.run(on_round)
    assert rounds == [0, 1, 2]


def test_a_signal_handler_may_call_and_stop(loop: Loop) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: loop.call_soon_threadsafe(lambda: heard.append(number)))
    sender = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGUSR1))
    try:
        loop.call_soon_threadsafe(sender.start)
        run(loop, lambda: heard == [signal.SIGUSR1])
        signal.signal(signal.SIGUSR1, lambda *_: loop.stop())
        stopper = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGUSR1))
        loop.call_soon_threadsafe(stopper.start)
        run(loop, lambda: False)
        sender.join()
        stopper.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_deadline_is_kept_without_spinning(loop: Loop) -> None:
    started = deadline = time.monotonic()
    rounds = deadlines = 0

    def on_round() -> float:
        nonlocal deadline, rounds, deadlines
        rounds += 1
        if time.monotonic() >= deadline:
            deadlines += 1
            deadline = time.monotonic() + 0.0055  # half a millisecond is left when the whole ones have been waited for
        if deadlines > 20:
            loop.stop()
        return deadline

    loop.run(on_round)
    assert time.monotonic() - started < 5
    assert rounds <= 3 * deadlines


@pytest.mark.parametrize("deadline", [float("inf"), 1e300, None])
def test_a_far_deadline_waits(loop: Loop, deadline: float | None) -> None:
    timer = threading.Timer(0.05, loop.stop)
    rounds: list[int] = []

    def on_round() -> float | None:
        if not rounds:
            timer.start()
        rounds.append(1)
        return deadline

    loop.run(on_round)
    assert len(rounds) == 2


def test_a_failing_callback_ends_the_run(loop: Loop) -> None:
    def fail() -> None:
        raise RuntimeError("broken")

    loop.call_soon_threadsafe(fail)
    with pytest.raises(RuntimeError, match="broken"):
        loop.run(lambda: None)
    assert run(loop, lambda: True) == 1


def test_a_stop_before_the_run_is_not_lost(loop: Loop) -> None:
    loop.stop()
    loop.run(lambda: None)


def test_waking_a_closed_loop_is_harmless() -> None:
    loop = Loop()
    loop.close()
    with open(os.devnull, "wb"), open(os.devnull, "wb"):
        loop.call_soon_threadsafe(lambda: None)
        loop.stop()


def test_a_given_context_is_left_open() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    loop = Loop(context)
    assert loop.context is context
    loop.close()
    assert not context.closed
    context.term()
