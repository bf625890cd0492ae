"""A keeper's folder, and a daemon with a keeper in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keeper import PlayedDaemon, marked
from tests.support.wait import wait_until


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """Runs last: the other fixtures still talk to their keepers."""
    yield
    while PlayedDaemon.made:
        daemon = PlayedDaemon.made.pop()
        daemon.link.close()
        daemon.loop.close()


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / ("deep" * 30) / "slot"  # longer than a unix socket's path may be
    folder.mkdir(parents=True)
    yield folder
    wait_until(lambda: not marked(folder), what="nothing is left")


@pytest.fixture
def daemon(slot: Path) -> Iterator[PlayedDaemon]:
    found = PlayedDaemon(slot)
    found.open()
    yield found
    found.link.say({"op": "shutdown", "grace": 0.2})
    wait_until(lambda: found.pump() or found.lost, what="the keeper ends")
