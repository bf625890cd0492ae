"""Why something is not placed, in words: read off the cluster's own numbers."""

from __future__ import annotations

from stoker.core.snapshot import ClusterView, DriverView, WorkerView
from stoker.core.states import DriverState, WorkerState


def why_waiting(driver: DriverView, cluster: ClusterView) -> str:
    """For a driver that is SUBMITTED."""
    nowhere = why_nowhere(cluster)
    if nowhere:
        return nowhere
    wants = f"{driver.cores} core{'s' * (driver.cores != 1)} and {driver.memory_mib} MiB"
    alive = _alive(cluster)
    usable = [worker for worker in alive if not worker.draining]
    if not any(_is_as_large(worker, driver) for worker in usable):
        draining = sum(_is_as_large(worker, driver) for worker in alive)
        if draining:
            return (
                f"it wants {wants}, and the {draining} of that size are draining: 'stoker undrain' lets them work again"
            )
        largest = max(usable, key=lambda worker: (worker.cores, worker.memory_mib))
        has = f"{largest.cores} cores and {largest.memory_mib} MiB"
        return f"it wants {wants}, and no worker is that large (the largest has {has}): submit it with less"
    ahead = sum(
        other.state is DriverState.SUBMITTED and (other.submitted, other.id) < (driver.submitted, driver.id)
        for other in cluster.active_drivers
    )
    queue = f", {ahead} driver{'s' * (ahead != 1)} ahead of it" if ahead else ""
    left_out = len(alive) - len(usable)
    besides = f" ({left_out} more draining)" if left_out else ""
    return f"it wants {wants}, which no worker{besides} has free at the moment{queue}"


def why_nowhere(cluster: ClusterView) -> str:
    """Why nothing at all is placed on this cluster; empty when something could be."""
    alive = _alive(cluster)
    if not alive:
        return "the cluster has no live worker: start one with 'stoker worker' or playbooks/start-workers.yml"
    if all(worker.draining for worker in alive):
        return "every live worker is draining: 'stoker undrain HOST' lets one work again"
    return ""


def _alive(cluster: ClusterView) -> list[WorkerView]:
    return [worker for worker in cluster.workers if worker.state is WorkerState.ALIVE]


def _is_as_large(worker: WorkerView, driver: DriverView) -> bool:
    return worker.cores >= driver.cores and worker.memory_mib >= driver.memory_mib
