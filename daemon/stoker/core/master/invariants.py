"""Invariants of a master's books, which must hold between any two events. Read-only; the cost grows with the books.

``violations`` is for tests, the simulator and a master in debug mode. An empty list means that the counters equal a
recount, that no worker is over-committed, and that every record is in exactly the tables it belongs to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stoker.core.master.arrays.booking import task_of
from stoker.core.master.arrays.invariants import array_violations
from stoker.core.master.books import Books, Worker
from stoker.core.master.sharing.accounts import Use
from stoker.core.model.resources import counted, pairs
from stoker.core.model.states import DriverState


def violations(books: Books) -> list[str]:
    """Return one line for each invariant that does not hold."""
    found: list[str] = []
    for worker in books.workers.values():
        found.extend(_worker(books, worker))
    found.extend(_free(books))
    found.extend(_connections(books))
    found.extend(_drivers(books))
    found.extend(_applications(books))
    found.extend(_history(books))
    found.extend(_accounts(books))
    found.extend(array_violations(books))
    return found


def _worker(books: Books, worker: Worker) -> Iterator[str]:
    record = worker.record
    cores = memory = 0
    held: Counter[tuple[str, str]] = Counter()
    for driver_id in worker.drivers:
        driver = books.drivers.get(driver_id)
        if driver is None or not driver.record.attempts or driver.record.attempts[-1].worker_id != record.id:
            yield f"{record.id} holds {driver_id}, but the driver's latest attempt is elsewhere"
            continue
        cores += driver.record.description.cores
        memory += driver.record.description.memory_mib
        held.update(pairs(driver.record.attempts[-1].resources))
    for app_id, executor_id in worker.executors:
        app = books.apps.get(app_id)
        executor = app.executors.get(executor_id) if app is not None else None
        if executor is None or executor.worker_id != record.id:
            yield f"{record.id} holds {app_id}/{executor_id}, but it is not among the live executors of the application"
            continue
        cores += executor.cores
        memory += executor.memory_mib
        held.update(pairs(executor.resources))
    for dying_cores, dying_memory, addresses in worker.dying.values():
        cores, memory = cores + dying_cores, memory + dying_memory
        held.update(pairs(addresses))
    if worker.held != held:
        yield f"{record.id} counts {worker.held} as held, a recount says {dict(held)}"
    for (name, address), holders in held.items():
        if holders > 1:
            yield f"{record.id} has {holders} jobs on {name} {address}"
    if (worker.cores_used, worker.memory_used) != (cores, memory):
        counted = f"{worker.cores_used} cores and {worker.memory_used} MiB"
        yield f"{record.id} counts {counted} as used, a recount says {cores} and {memory}"
    if cores > record.cores or memory > record.memory_mib:
        yield f"{record.id} is over-committed: {cores}/{record.cores} cores, {memory}/{record.memory_mib} MiB"


def _free(books: Books) -> Iterator[str]:
    found = {worker_id for worker_id, worker in books.workers.items() if worker.cores_free > 0}
    for worker_id in sorted(found ^ books.with_free_cores.keys()):
        yield f"{worker_id} is {'not ' if worker_id in found else ''}among the workers with free cores"


def _connections(books: Books) -> Iterator[str]:
    for worker_id, worker in books.workers.items():
        if worker.peer is not None and books.worker_of_peer.get(worker.peer) != worker_id:
            yield f"{worker_id} is on a connection that is not assigned to it"
    for worker_id in books.worker_of_peer.values():
        if worker_id not in books.workers:
            yield f"a connection belongs to {worker_id}, which is not in the books"
    for address, worker_id in books.worker_at.items():
        if worker_id not in books.workers:
            yield f"{address} belongs to {worker_id}, which is not in the books"
    for app_ids in books.app_of_peer.values():
        for app_id in app_ids:
            if app_id not in books.apps:
                yield f"a connection belongs to {app_id}, which is not active"


def _drivers(books: Books) -> Iterator[str]:
    holders = Counter(driver_id for worker in books.workers.values() for driver_id in worker.drivers)
    for driver_id, driver in books.drivers.items():
        state = driver.record.state
        if state.is_final:
            yield f"{driver_id} is {state.value} and still active"
        is_parked = driver_id in books.parked
        if (driver_id in books.queue or is_parked) != (state is DriverState.SUBMITTED):
            yield f"{driver_id} is {state.value} and {'' if driver_id in books.queue else 'not '}in the queue"
        of_array = driver.tasks is not None or task_of(books, driver_id) is not None  # these wait by other rules
        if (
            state is DriverState.SUBMITTED
            and not of_array
            and is_parked != (driver.record.hold is not None or bool(driver.record.awaits))
        ):
            yield f"{driver_id} is {'' if is_parked else 'not '}parked, contrary to its record"
        if is_parked and driver_id in books.queue:
            yield f"{driver_id} is parked and in the queue"
        if (driver_id in books.relaunching) != (state is DriverState.RELAUNCHING):
            yield f"{driver_id} is {state.value}, contrary to the list of drivers that wait for a restart"
        if state is DriverState.RUNNING and holders[driver_id] != 1:
            yield f"{driver_id} is RUNNING on {holders[driver_id]} workers"
        if state is not DriverState.RUNNING and holders[driver_id] > (state is DriverState.UNKNOWN):
            yield f"{driver_id} is {state.value} and holds resources of {holders[driver_id]} workers"
    yield from _parents(books)
    for driver_id in (*books.queue, *books.relaunching, *books.parked):
        if driver_id not in books.drivers:
            yield f"{driver_id} waits and is not active"


def _parents(books: Books) -> Iterator[str]:
    """Nobody waits for a driver that has ended, and it is known who waits for whom."""
    children: dict[str, set[str]] = {}
    for driver_id, driver in books.drivers.items():
        for parent_id in driver.record.awaits:
            if parent_id not in books.drivers:
                yield f"{driver_id} waits for the end of {parent_id}, which is not active"
        for parent_id in driver.record.description.after if driver.record.awaits else ():
            children.setdefault(parent_id, set()).add(driver_id)
    if children != {parent_id: set(waiting) for parent_id, waiting in books.waited_for.items()}:
        yield f"the books say that drivers wait for {books.waited_for}, a recount says {children}"


def _applications(books: Books) -> Iterator[str]:
    for app_id, app in books.apps.items():
        record = app.record
        if record.state.is_final:
            yield f"{app_id} is {record.state.value} and still active"
        granted = sum(executor.cores for executor in app.executors.values())
        if app.cores_granted != granted:
            yield f"{app_id} counts {app.cores_granted} cores as granted, a recount says {granted}"
        # After a master without records workers may come back with more executors than were known at the next grant.
        if granted + record.cores_done > record.cores_max and not app.taken_over:
            yield f"{app_id} has {granted} cores and has used {record.cores_done} up, of at most {record.cores_max}"
        for executor_id, executor in app.executors.items():
            worker = books.workers.get(executor.worker_id)
            if worker is None or (app_id, executor_id) not in worker.executors:
                yield f"{app_id}/{executor_id} is live on {executor.worker_id}, which does not hold it"
            if executor_id >= record.next_executor_id:
                yield f"{app_id} has executor {executor_id} and would give out {record.next_executor_id} next"
            if executor.state.is_final:
                yield f"{app_id}/{executor_id} is {executor.state.value} and still live"


def _accounts(books: Books) -> Iterator[str]:
    """What runs now, by pool and principal, and by pool."""
    held: dict[tuple[str, str], Counter[str]] = {}
    for worker in books.workers.values():
        for driver_id in worker.drivers:
            driver = books.drivers.get(driver_id)
            if driver is not None:
                description = driver.record.description
                counts = {"cores": description.cores, "memory": description.memory_mib, "drivers": 1}
                counts |= {f"resource {name}": amount for name, amount in description.resources}
                held.setdefault(driver.account, Counter()).update(counts, driver_cores=description.cores)
        for app_id, executor_id in worker.executors:
            app = books.apps.get(app_id)
            executor = app.executors.get(executor_id) if app is not None else None
            if app is not None and executor is not None:
                counts = {"cores": executor.cores, "memory": executor.memory_mib}
                counts |= {f"resource {name}": amount for name, amount in counted(executor.resources)}
                held.setdefault(app.account, Counter()).update(counts)
    for account, use in books.accounts.used.items():
        yield from _differs(f"{account[1] or 'nobody'} in pool {account[0]}", use, held.pop(account, Counter()))
    for account in held:
        yield f"{account} holds resources and has no account"
    pools: dict[str, Counter[str]] = {}
    for (pool, _), use in books.accounts.used.items():
        pools.setdefault(pool, Counter()).update(_present(use))
    for pool, use in books.accounts.pools.items():
        yield from _differs(f"pool {pool}", use, pools.get(pool, Counter()))


def _present(use: Use) -> dict[str, int]:
    return {
        "cores": use.cores,
        "memory": use.memory_mib,
        "drivers": use.drivers,
        "driver_cores": use.driver_cores,
        **{f"resource {name}": amount for name, amount in use.resources},
    }


def _differs(what: str, use: Use, recount: Counter[str]) -> Iterator[str]:
    present = _present(use)
    for name in sorted(present.keys() | recount.keys()):
        if present.get(name, 0) != recount[name]:
            yield f"{what} is charged with {name} {present.get(name, 0)}, a recount says {recount[name]}"


def _history(books: Books) -> Iterator[str]:
    for driver_id, driver in books.completed_drivers.items():
        if not driver.record.state.is_final or driver_id in books.drivers:
            yield f"{driver_id} is among the completed and {driver.record.state.value}"
    for app_id, app in books.completed_apps.items():
        if not app.record.state.is_final or app_id in books.apps:
            yield f"{app_id} is among the completed and {app.record.state.value}"
