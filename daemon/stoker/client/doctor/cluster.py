"""Checks of the cluster, from what its leader says: versions, epochs, workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from stoker.client.doctor.finding import Finding
from stoker.core.model.states import MasterState, WorkerState
from stoker.core.model.views import ClusterView, WorkerView
from stoker.version import RELEASE


def leader(view: ClusterView) -> list[Finding]:
    """Whether one master leads, and works."""
    text = f"{view.url} leads in epoch {view.epoch}, and is {view.state.value}"
    found = [Finding("leader", "ok" if view.state is MasterState.ALIVE else "warning", text)]
    fix = "see docs/high-availability.md"
    return found + [Finding("leader", "problem", warning, fix) for warning in view.warnings]


def versions(view: ClusterView, hosts: Sequence[str]) -> list[Finding]:
    """Whether the master, the workers (of ``hosts``, if any) and this machine have the same release."""
    counts = Counter(worker.version for worker in view.workers if worker.is_live and _is_of(worker, hosts))
    shown = ", ".join(f"{count} on {version or 'an unknown release'}" for version, count in sorted(counts.items()))
    text = f"here {RELEASE}, master {view.version}, workers: {shown or 'none'}"
    if {RELEASE, view.version, *counts} == {RELEASE}:
        return [Finding("versions", "ok", text)]
    return [Finding("versions", "warning", text, "finish the upgrade: ansible-playbook playbooks/upgrade.yml")]


def workers(view: ClusterView, hosts: Sequence[str]) -> list[Finding]:
    """Whether the workers (of ``hosts``, if any) get work, and why not."""
    chosen = [worker for worker in view.workers if _is_of(worker, hosts)]
    known = {worker.host for worker in chosen}
    missing = [f" at {host}" for host in hosts if host not in known] if hosts else [""] * (not chosen)
    fix = "ansible-playbook playbooks/start-all.yml"
    found = [Finding("workers", "problem", f"the master knows no worker{where}", fix) for where in missing]
    if chosen:
        usable = sum(not _trouble(worker) for worker in chosen)
        found.append(Finding("workers", "ok" if usable else "problem", f"{usable} of {len(chosen)} get new jobs"))
    return found + [trouble for worker in chosen for trouble in _trouble(worker)]


def limits(view: ClusterView, hosts: Sequence[str]) -> list[Finding]:
    """Whether the workers (of ``hosts``, if any) limit and measure their jobs, and how."""
    chosen = [worker for worker in view.live_workers if _is_of(worker, hosts)]
    counts = Counter(worker.limits or "unknown, from an earlier release" for worker in chosen)
    return [Finding("limits", "ok", f"{count} of {len(chosen)}: {words}") for words, count in sorted(counts.items())]


def accounts(view: ClusterView, hosts: Sequence[str]) -> list[Finding]:
    """Which accounts jobs run as on the workers (of ``hosts``, if any), and whether each obeys its users.yml."""
    chosen = [worker for worker in view.live_workers if _is_of(worker, hosts)]
    counts = Counter(worker.run_as or "unknown, from an earlier release" for worker in chosen)
    found = [Finding("accounts", "ok", f"{count} of {len(chosen)}: {words}") for words, count in sorted(counts.items())]
    fix = "correct the file ('stoker config check users.yml'): it is obeyed within a second"
    faults = [(worker.address, worker.users_fault) for worker in chosen if worker.users_fault]
    return found + [
        Finding("accounts", "problem", f"{address} obeys an earlier users.yml: {fault}", fix)
        for address, fault in faults
    ]


def _is_of(worker: WorkerView, hosts: Sequence[str]) -> bool:
    return not hosts or worker.host in hosts


def _trouble(worker: WorkerView) -> list[Finding]:
    name = worker.address
    if worker.state is not WorkerState.ALIVE:
        fix = f"start it again, or 'stoker forget {name}'"
        return [Finding("workers", "problem", f"{name} is {worker.state.value}", fix)]
    if worker.draining:
        return [Finding("workers", "warning", f"{name} is draining", f"stoker undrain {name}")]
    if worker.unfit:
        return [
            Finding("workers", "problem", f"{name} {worker.trouble}", "remove the cause: it gets jobs again by itself")
        ]
    if worker.avoided or worker.refusal:
        fix = "remove the cause: it gets jobs again by itself"
        return [Finding("workers", "problem", f"{name} refuses jobs: {worker.refusal}", fix)]
    return []
