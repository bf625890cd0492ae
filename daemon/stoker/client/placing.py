"""Why a driver is not placed, in words: read off the cluster's own numbers."""

from __future__ import annotations

from stoker.core.snapshot import ClusterView, DriverView
from stoker.core.states import DriverState, WorkerState


def why_waiting(driver: DriverView, cluster: ClusterView) -> str:
    """For a driver that is SUBMITTED."""
    wants = f"{driver.cores} core{'s' * (driver.cores != 1)} and {driver.memory_mib} MiB"
    alive = [worker for worker in cluster.workers if worker.state is WorkerState.ALIVE]
    if not alive:
        return "the cluster has no live worker: start one with 'stoker worker' or playbooks/start-workers.yml"
    if not any(worker.cores >= driver.cores and worker.memory_mib >= driver.memory_mib for worker in alive):
        largest = max(alive, key=lambda worker: (worker.cores, worker.memory_mib))
        has = f"{largest.cores} cores and {largest.memory_mib} MiB"
        return f"it wants {wants}, and no worker is that large (the largest has {has}): submit it with less"
    ahead = sum(
        other.state is DriverState.SUBMITTED and (other.submitted, other.id) < (driver.submitted, driver.id)
        for other in cluster.active_drivers
    )
    queue = f", {ahead} driver{'s' * (ahead != 1)} ahead of it" if ahead else ""
    return f"it wants {wants}, which no worker has free at the moment{queue}"
