"""An operator who drains workers, some with a deadline, and lets them work again when the faults have stopped. Every third
seed has one; the others are as they were without."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from stoker.core.model.messages import DrainWorkers
from tests.simulation.client import Client
from tests.simulation.world import Host

if TYPE_CHECKING:
    from stoker.core.master.books import Worker as Entry
    from tests.simulation.master import Master
    from tests.simulation.scenario import Cluster
    from tests.simulation.worker import Worker

LOOK = 1.0  # seconds
LAST = 3.0  # seconds: the deadline of the drain after the faults
STOPPED = 40.0  # seconds from a deadline until nothing may run there: the grace, and a worker that has to be told


class Operator(Client):
    """Sends its orders over a connection with the role admin. No fault reaches it."""

    def __init__(self, cluster: Cluster) -> None:
        self.draw = random.Random(cluster.world.seed + 0.125)
        host = Host(cluster.world, "operator", uptime=self.draw.random() * 1e5, wall_error=0.0, settles=0.0)
        masters = tuple(master.address for master in cluster.masters)
        super().__init__(cluster.world, cluster.network, host, masters=masters, checks=cluster.checks, role="admin")
        self.cluster = cluster
        self.left: list[Worker] = (
            list(cluster.workers) if self.draw.random() < 1 / 3 else []
        )  # still to be emptied after the faults
        self._emptied: dict[str, tuple[int, float]] = {}  # worker -> epoch of the order, when nothing may run there

    @property
    def needs(self) -> float:
        """Seconds that it needs after the faults, at most."""
        return len(self.left) * (LAST + STOPPED + 20.0)

    def plan(self) -> None:
        """Order drains at times that the seed draws."""
        if not self.left:
            return
        self.world.after(0.0, self.start)
        for _ in range(self.draw.randint(1, 4)):
            self.world.after(self.draw.random() * self.cluster.chaos, self._drain_one)
        self.world.after(self.cluster.chaos, self._finish)

    def _drain_one(self) -> None:
        name = self.draw.choice(self.cluster.workers).name
        if self.draw.random() < 0.7:
            self.order(name, drain=True, deadline=self.draw.choice((0.0, 0.5, 5.0, 30.0)))
        else:
            self.order(name, drain=False)

    def order(self, name: str, *, drain: bool, deadline: float = 0.0) -> None:
        self._ask(DrainWorkers(request=0, workers=(name,), drain=drain, reason="the seed", deadline=deadline))

    def _finish(self) -> None:
        """Empty one worker after the other by a deadline, see that it is empty, and let it work again."""
        leaders = [master for master in self.cluster.masters if master.is_serving]
        if len(leaders) == 1 and self.left:
            self._empty(leaders[0], self.left[0])
        if self.left:
            self.world.after(LOOK, self._finish)

    def _empty(self, leader: Master, worker: Worker) -> None:
        assert leader.core is not None
        entry = _entry(leader, worker)
        if entry is None or entry.peer is None or self.asked:
            self._emptied.pop(worker.name, None)  # it went away, or an order is under way: begin again
            return
        epoch = leader.core.ctx.epoch
        ordered, then = self._emptied.get(worker.name, (0, 0.0))
        if ordered != epoch:
            self._emptied[worker.name] = (epoch, self.world.now + LAST + STOPPED)
            self.order(worker.name, drain=True, deadline=LAST)
        elif self.world.now >= then:
            left = sorted(program.key for program in worker.machine.programs.values())
            if left:
                self._checks.fail("drain", f"{', '.join(left)} run on {worker.name} after the deadline of its drain")
            self.order(worker.name, drain=False)
            self.left.remove(worker)


def _entry(leader: Master, worker: Worker) -> Entry | None:
    assert leader.core is not None
    if worker.core is None:
        return None
    return leader.core.ctx.books.workers.get(worker.core.identity.id)
