"""One run of one seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stoker.core.model.moves import IllegalMove
from tests.simulation.checks_end import bound, unsettled
from tests.simulation.checks_passes import every_pass
from tests.simulation.faults import Faults
from tests.simulation.scenario import build
from tests.simulation.world import Violation, World


@dataclass(frozen=True)
class Result:
    """``checker`` is empty when nothing was found. ``lines`` counts the lines of the story: equal for equal runs."""

    seed: int
    checker: str = ""
    text: str = ""
    lines: int = 0
    seconds: float = 0.0  # simulated


def run(seed: int, tell: Callable[[str], None] | None = None, faults: tuple[str, ...] = ()) -> Result:
    """``tell`` receives the story. ``faults`` names kinds of faults, instead of the seed's choice. An exception of a core
    is a finding too: an illegal move of a state under the name ``lifecycle``, everything else as ``raised``."""
    world = World(seed, tell)
    try:
        with every_pass(_fail):
            _run(world, faults)
    except Violation as found:
        world.note("CHECK", f"{found.checker}: {found.text}")
        return Result(seed, found.checker, found.text, world.lines, world.now)
    except Exception as error:
        if tell is not None:
            raise
        checker = "lifecycle" if isinstance(error, IllegalMove) else "raised"
        return Result(seed, checker, f"{type(error).__name__}: {error}", world.lines, world.now)
    return Result(seed, "", "", world.lines, world.now)


def _fail(checker: str, text: str) -> None:
    raise Violation(checker, text)


def _run(world: World, kinds: tuple[str, ...]) -> None:
    cluster = build(world)
    world.note("cluster", f"{cluster.mode}, {len(cluster.workers)} workers, {cluster.policy}")
    faults = Faults(cluster)
    faults.plan(kinds)
    world.run(cluster.chaos + 1.0)
    deadline = cluster.chaos + bound(cluster) + cluster.operator.needs
    if world.run(deadline, lambda: not unsettled(cluster)):
        return
    left = unsettled(cluster)
    if left:
        raise Violation("liveness", "; ".join(left[:5]))
