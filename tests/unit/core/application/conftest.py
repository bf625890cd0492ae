"""A registered application."""

from __future__ import annotations

import pytest

from stoker.core.application import events as ev
from tests.unit.core.application.world import ID, World


@pytest.fixture
def world() -> World:
    world = World()
    world.register()
    assert world.take(ev.Registered) == [ev.Registered(ID, "spark://a:7077", again=False)]
    world.effects.clear()
    return world
