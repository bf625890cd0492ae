"""``submit --wait``: print the program's output, and exit with its exit code."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from stoker.client.api import Client
from stoker.client.logs.follower import STREAMS, Agenda, Follower, follow
from stoker.client.logs.header import HeaderFilter
from stoker.client.logs.jobs import WatchedDriver
from stoker.client.logs.output import Raw
from stoker.client.notices import local_times, say
from stoker.core.model.states import DriverState
from stoker.core.model.values import DriverDescription
from stoker.core.model.views import DriverView
from stoker.errors import StokerError
from stoker.io.signals import END_SIGNALS

PATIENCE = 120.0  # seconds without a master until a submitted driver is given up; a fail-over may take two minutes
SAY_WAITING_AFTER = 2.0  # seconds until stoker prints why a driver waits
_FAILED_SOMEHOW = 1


class Interrupted(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def submit_and_wait(client: Client, driver: DriverDescription, *, kill_on_interrupt: bool) -> int:
    """Submit, stream stdout and stderr of all attempts, return the exit code.

    On Ctrl-C the driver keeps running, and the user learns how to follow it; with ``kill_on_interrupt`` it is killed.
    """
    watched = client.submit_watched(driver)
    say(f"submitted {watched.id}")
    ended = interruptible(client, watched.id, lambda: _stream(client, watched), kill=kill_on_interrupt)
    if ended is not None:
        return ended
    if watched.failure is not None:
        raise watched.failure
    assert watched.view is not None
    if watched.view.state is not DriverState.FINISHED:
        say(outcome(watched.view))
    return exit_code(watched.view)


def interruptible(client: Client, driver_id: str, wait: Callable[[], None], *, kill: bool) -> int | None:
    """Wait for a driver; return the exit code if a signal interrupted that, else None. It is killed then if ``kill``."""
    client.session.timeout = max(client.session.timeout, PATIENCE)
    handled = END_SIGNALS if kill else (signal.SIGINT,)
    before = {number: signal.signal(number, _interrupt) for number in handled}
    try:
        wait()
    except Interrupted as interruption:
        for number in handled:
            signal.signal(number, signal.SIG_IGN)
        return _interrupted(client, driver_id, interruption.number, kill=kill)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return None


def exit_code(view: DriverView) -> int:
    """Return the exit code of a driver that has ended: its program's own, 128 + the signal's number, or 1 without either."""
    if view.state is DriverState.FINISHED:
        return 0
    status = view.attempts[-1].exit.status if view.attempts else None
    return status or _FAILED_SOMEHOW


def outcome(view: DriverView) -> str:
    return f"{view.id} is {view.state.value}" + (f": {view.reason}" if view.reason else "")


def _stream(client: Client, watched: WatchedDriver) -> None:
    sinks = Raw(sys.stdout.buffer, say), Raw(sys.stderr.buffer, say, header=HeaderFilter())
    followers = [Follower(client.session, watched, name, sink) for name, sink in zip(STREAMS, sinks, strict=True)]
    agenda = Agenda(watched, *followers)
    waiting = _Waiting(client, watched)
    while not all(follower.done for follower in followers):
        follow(
            client.session,
            agenda,
            lambda: waiting.is_due() or all(follower.done for follower in followers),
            look_at=waiting.say_at,
        )
        waiting.look()
    if watched.view is not None and watched.view.attempts:
        for follower in followers:
            if follower.problem:
                say(f"the {follower.stream} of {watched.id} is incomplete: {follower.problem}")


class _Waiting:
    """Prints once why a driver does not start."""

    def __init__(self, client: Client, watched: WatchedDriver) -> None:
        self.say_at = time.monotonic() + SAY_WAITING_AFTER
        self._client = client
        self._watched = watched

    def is_due(self) -> bool:
        return time.monotonic() >= self.say_at

    def look(self) -> None:
        if not self.is_due():
            return
        self.say_at = float("inf")
        view = self._watched.view
        if view is None or view.state is DriverState.SUBMITTED:
            from stoker.core.master.scheduling.explain import Waiting  # noqa: PLC0415 - most drivers start at once

            try:
                status = self._client.status(self._watched.id)
                if isinstance(status, DriverView) and status.state is DriverState.SUBMITTED:
                    why = local_times(Waiting(self._client.cluster()).driver(status))
                    say(f"{status.id} waits: {why}")
            except StokerError as error:
                say(f"{self._watched.id} waits: {error}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


def _interrupted(client: Client, driver_id: str, number: int, *, kill: bool) -> int:
    if not kill:
        say(
            f"detached: {driver_id} keeps running; 'stoker logs -f {driver_id}' follows it,"
            f" 'stoker kill {driver_id}' stops it"
        )
        return 128 + number
    # The interrupted connection may have lost a message half-way: ask over a fresh one.
    with Client(config=client.config) as fresh:
        try:
            fresh.kill(driver_id)
            say(f"{driver_id} is being killed")
        except StokerError as error:
            say(str(error))
    return 128 + number
