"""``submit --array --wait``: print how many tasks have ended, and exit with the highest exit status."""

from __future__ import annotations

import time

from stoker.client.api import Client
from stoker.client.commands.wait import interruptible, outcome
from stoker.client.logs.follower import Agenda, follow
from stoker.client.logs.jobs import WatchedDriver
from stoker.client.notices import say
from stoker.client.show.job import progress
from stoker.core.model.values import DriverDescription

EVERY = 10.0  # seconds between two lines about the tasks


def submit_array_and_wait(client: Client, driver: DriverDescription, *, kill_on_interrupt: bool) -> int:
    """Submit an array, say from time to time what has become of its tasks, return the highest exit status of a task. Its
    tasks' output is not printed: 'stoker logs ID_INDEX' does.

    On Ctrl-C it goes on, and the user learns how to look at it; with ``kill_on_interrupt`` it is killed.
    """
    watched = client.submit_watched(driver)
    say(f"submitted {watched.id}")
    ended = interruptible(client, watched.id, lambda: _wait(client, watched), kill=kill_on_interrupt)
    if ended is not None:
        return ended
    if watched.failure is not None:
        raise watched.failure
    assert watched.view is not None and watched.view.array is not None
    say(outcome(watched.view))
    return watched.view.array.status


def _wait(client: Client, watched: WatchedDriver) -> None:
    said = ""
    while not watched.is_over:
        due = time.monotonic() + EVERY

        def has_come(due: float = due) -> bool:
            return watched.is_over or time.monotonic() >= due

        follow(client.session, Agenda(watched), has_come, look_at=due)
        view = watched.view
        if (
            view is not None
            and view.array is not None
            and not watched.is_over
            and (words := progress(view.array)) != said
        ):
            say(f"{watched.id}: {words}")
            said = words
