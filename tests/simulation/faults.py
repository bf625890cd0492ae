"""Faults and their times, drawn from the seed. Each run has only a few kinds of faults, so that rare combinations of the
same kind occur as well (swarm testing)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.simulation.process import Node
from tests.simulation.scenario import Cluster, hostile_worker
from tests.simulation.worker import Worker


class Faults:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.world, self.rng = cluster, cluster.world, cluster.world.rng
        self._cuts: list[set[tuple[str, str]]] = []

    def plan(self, wanted: tuple[str, ...] = ()) -> None:
        """``wanted``: these kinds, and many of them. Without it, the seed chooses a few kinds."""
        kinds = list(wanted) or self.rng.sample(list(KINDS), self.rng.randint(0, 6))
        self.world.note("faults", "kinds:", ", ".join(kinds) or "none")
        for kind in kinds:
            for _ in range(self.rng.randint(3, 8) if wanted else self.rng.randint(1, 4)):
                self.world.after(self.rng.random() * self.cluster.chaos, partial(KINDS[kind], self))
        self.world.after(self.cluster.chaos, self.stop)
        self.world.after(4.0, self._supervise)

    def stop(self) -> None:
        """Stop all faults: from now on everything works."""
        self.world.note("faults", "are over")
        cluster = self.cluster
        for pairs in self._cuts:
            cluster.network.unblock(pairs)
        cluster.store.is_full, cluster.disk.slowest = False, 0.004
        for node in (*cluster.masters, *cluster.workers, *cluster.clients):
            node.crash_in = node.freeze_in = None
        for worker in cluster.workers:
            worker.is_full = worker.is_ill = False
            worker.machine.at_next_start = worker.machine.at_next_end = None
        for master in cluster.masters:
            master.hangs_when_elected = 0.0
        if cluster.hostile is not None:
            cluster.hostile.die("found out")

    def _supervise(self) -> None:
        """Start a dead process again, sooner or later; at once when the faults have stopped."""
        is_over = self.world.now >= self.cluster.chaos
        for node in (*self.cluster.masters, *self.cluster.workers, *self.cluster.clients):
            if not node.is_alive and (is_over or self.rng.random() < 0.15):
                node.host.is_up = True
                node.start()
        self.world.after(1.0, self._supervise)

    def _until_the_end(self, seconds: float) -> float:
        return max(0.1, min(seconds, self.cluster.chaos - self.world.now))

    # --- processes ---

    def _kill(self, node: Node) -> None:
        if self.rng.random() < 0.5 and node.is_alive:
            node.crash_in = self.rng.randint(0, 12)  # at one of its next effect boundaries
            self.world.after(5.0, lambda: node.die("kill -9") if node.crash_in is not None else None)
        else:
            node.die("kill -9")

    def kill_master(self) -> None:
        self._kill(self.rng.choice(self.cluster.masters))

    def kill_worker(self) -> None:
        self._kill(self.rng.choice(self.cluster.workers))

    def stop_master(self) -> None:
        master = self.rng.choice(self.cluster.masters)
        master.stop()

    def stop_worker(self) -> None:
        worker = self.rng.choice(self.cluster.workers)
        if worker.is_alive:
            worker.stop(keeping=self.rng.random() < 0.6)

    def kill_keeper(self) -> None:
        """Only while its daemon runs: without one, processes stay unmanaged until the next start, as ADR 3 says."""
        worker = self.rng.choice(self.cluster.workers)
        machine = worker.machine
        if machine.keeper is not None and worker.is_alive:
            self.world.note(machine.host.name, "the keeper dies")
            machine.keeper.die()

    def power_off(self) -> None:
        self._power_off(self.rng.choice(self.cluster.workers))

    def kill_daemon_and_keeper(self) -> None:
        """Kill both at the same moment, so that only the journal knows what their jobs did; or just when a job has ended."""
        worker = self.rng.choice(self.cluster.workers)
        if self.rng.random() < 0.5:
            worker.machine.at_next_end = lambda: self._kill_both(worker)
        else:
            self._kill_both(worker)

    def kill_daemon_and_keeper_at_start(self) -> None:
        """Kill both when a job's process has started, and nobody has reported it."""
        worker = self.rng.choice(self.cluster.workers)
        worker.machine.at_next_start = lambda: self._kill_both(worker)

    def _kill_both(self, worker: Worker) -> None:
        self.world.note(worker.name, "and its keeper are killed")
        worker.die("kill -9")
        if worker.machine.keeper is not None:
            worker.machine.keeper.die()
        self.world.after(1.0, lambda: self._back(worker))  # before its jobs are given up: they run unmanaged (ADR 3)

    def power_cut_at_end(self) -> None:
        """Cut the power after a job ended: before or after its keeper, its master or its disk knows that."""
        worker = self.rng.choice(self.cluster.workers)

        def cut() -> None:
            self._power_off(worker)
            self.world.after(self.rng.choice((1.0, 30.0)), lambda: self._back(worker))

        worker.machine.at_next_end = cut

    def upgrade(self) -> None:
        """Restart a worker of 0.1.0 with the present release; its keeper stays as long as it has jobs."""
        old = [worker for worker in self.cluster.workers if worker.machine.is_old]
        if old:
            worker = self.rng.choice(old)
            self.world.note(worker.name, "is upgraded")
            worker.stop(keeping=True)
            worker.machine.is_old = False
            self.cluster.skew.old.discard(worker.name)

    def _back(self, worker: Worker) -> None:
        if not worker.is_alive:
            worker.host.is_up = True
            worker.start()

    def power_cut_at_start(self) -> None:
        """Cut the power when a job's process has started and nobody knows it. The host is back before the jobs are
        declared lost."""
        worker = self.rng.choice(self.cluster.workers)

        def cut() -> None:
            self._power_off(worker)
            self.world.after(1.0, lambda: self._back(worker))

        worker.machine.at_next_start = cut

    def _power_off(self, worker: Worker) -> None:
        self.world.note(worker.name, "loses power")
        worker.host.is_up = False
        worker.die("no power")
        worker.machine.power_off()

    def freeze_master(self) -> None:
        self._freeze(self.rng.choice(self.cluster.masters))

    def freeze_worker(self) -> None:
        self._freeze(self.rng.choice(self.cluster.workers))

    def _freeze(self, node: Node) -> None:
        seconds = self._until_the_end(self.rng.choice((0.5, 5.0, 30.0, 100.0)))
        if self.rng.random() < 0.5:
            node.freeze_in = (self.rng.randint(0, 12), seconds)
        else:
            node.freeze(seconds)

    def hang_new_master(self) -> None:
        """The leader stops, and the next one hangs in the middle of its recovery."""
        leader = next((master for master in self.cluster.masters if master.core is not None), None)
        if leader is not None:
            for master in self.cluster.masters:
                master.hangs_when_elected = self._until_the_end(self.rng.choice((5.0, 30.0, 100.0)))
            leader.stop()

    def kill_application(self) -> None:
        if self.cluster.applications:
            application = self.rng.choice(self.cluster.applications)
            if application.is_alive:
                application.die("kill -9")
                application.is_over = True

    def kill_client(self) -> None:
        client = self.rng.choice(self.cluster.clients)
        client.die("kill -9")

    # --- network ---

    def cut(self) -> None:
        """Partition two hosts, or one host from all others; in both directions, or in one."""
        hosts = self.cluster.hosts
        one = self.rng.choice(hosts)
        others = [host for host in hosts if host is not one]
        if self.rng.random() < 0.5:
            others = [self.rng.choice(others)]
        pairs: set[tuple[str, str]] = set()
        both, outward = self.rng.random() < 0.6, self.rng.random() < 0.5
        for other in others:
            pairs |= {(one.name, other.name)} if both or outward else set()
            pairs |= {(other.name, one.name)} if both or not outward else set()
        seconds = self._until_the_end(self.rng.choice((0.5, 5.0, 30.0, 100.0)))
        self.world.note("faults", f"for {seconds:.1f} s nothing passes:", sorted(pairs))
        self.cluster.network.blocked |= pairs
        self._cuts.append(pairs)
        for host in (one, *others):
            host.doubt(self.world.now + seconds)
        self.world.after(seconds, lambda: self.cluster.network.unblock(pairs))

    def reset(self) -> None:
        connection = self.cluster.network.break_one()
        if connection is not None:
            self.world.note("faults", f"connection {connection.client.name} - {connection.server.name} is reset")

    def expire_session(self) -> None:
        if self.cluster.ensemble is not None and self.cluster.ensemble.expire_leader():
            self.world.note("faults", "the leader's session expires")

    def hostile(self) -> None:
        """A worker is taken over for a while."""
        worker = hostile_worker(self.cluster)
        if worker.is_alive:
            worker.die("gives up for now")
        else:
            worker.start()

    # --- clocks and disks ---

    def clock_jump(self) -> None:
        """No jump backwards on a master without records: ids are made of the time and a number, and could repeat."""
        host = self.rng.choice(self.cluster.hosts)
        seconds = self.rng.choice((-86400.0, -30.0, -1.0, 1.0, 30.0, 86400.0))
        keeps_nothing = self.cluster.mode == "NONE" and any(master.host is host for master in self.cluster.masters)
        host.wall_error += abs(seconds) if keeps_nothing else seconds
        self.world.note("faults", f"the clock of {host.name} jumps, is {host.wall_error:.0f} s ahead")

    def slow_disk(self) -> None:
        self.cluster.disk.slowest = self.rng.choice((0.2, 2.0, 8.0))
        self.world.note("faults", f"a write takes up to {self.cluster.disk.slowest} s")
        self.world.after(10.0, lambda: setattr(self.cluster.disk, "slowest", 0.004))

    def full_worker(self) -> None:
        worker = self.rng.choice(self.cluster.workers)
        self.world.note("faults", f"the disk of {worker.name} is full")
        worker.is_full = True
        self.world.after(self._until_the_end(self.rng.choice((3.0, 20.0))), lambda: setattr(worker, "is_full", False))

    def ill_worker(self) -> None:
        """The health script of a worker finds something wrong for a while."""
        worker = self.rng.choice(self.cluster.workers)
        self.world.note("faults", f"{worker.name} is not well")
        worker.is_ill = True
        self.world.after(self._until_the_end(self.rng.choice((1.0, 20.0))), lambda: setattr(worker, "is_ill", False))

    def full_disk(self) -> None:
        self.world.note("faults", "the disk is full")
        self.cluster.store.is_full = True
        self.world.after(self._until_the_end(5.0), lambda: setattr(self.cluster.store, "is_full", False))


KINDS: dict[str, Callable[[Faults], None]] = {
    "kill_master": Faults.kill_master,
    "kill_worker": Faults.kill_worker,
    "stop_master": Faults.stop_master,
    "stop_worker": Faults.stop_worker,
    "kill_keeper": Faults.kill_keeper,
    "power_off": Faults.power_off,
    "power_cut_at_start": Faults.power_cut_at_start,
    "power_cut_at_end": Faults.power_cut_at_end,
    "kill_daemon_and_keeper": Faults.kill_daemon_and_keeper,
    "kill_daemon_and_keeper_at_start": Faults.kill_daemon_and_keeper_at_start,
    "upgrade": Faults.upgrade,
    "freeze_master": Faults.freeze_master,
    "freeze_worker": Faults.freeze_worker,
    "hang_new_master": Faults.hang_new_master,
    "kill_application": Faults.kill_application,
    "kill_client": Faults.kill_client,
    "cut": Faults.cut,
    "reset": Faults.reset,
    "expire_session": Faults.expire_session,
    "clock_jump": Faults.clock_jump,
    "slow_disk": Faults.slow_disk,
    "full_disk": Faults.full_disk,
    "full_worker": Faults.full_worker,
    "hostile": Faults.hostile,
    "ill_worker": Faults.ill_worker,
}
