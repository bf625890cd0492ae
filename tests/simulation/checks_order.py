"""The order of service, seen from the books after each batch: FIFO, and no job waits that fits (spec 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stoker.core.master.books import App, Worker
from stoker.core.master.context import Context
from stoker.core.master.effects import Effect, Send
from stoker.core.master.executors import cores_left
from stoker.core.model.messages import LaunchDriver, LaunchExecutor
from stoker.core.model.states import MasterState

Fail = Callable[[str, str], None]


def check_order(ctx: Context, effects: Iterable[Effect], fail: Fail) -> None:
    if ctx.state is not MasterState.ALIVE:
        return
    sent = [effect for effect in effects if isinstance(effect, Send)]
    _drivers_in_order(ctx, [send.message for send in sent if isinstance(send.message, LaunchDriver)], fail)
    granted: dict[str, list[LaunchExecutor]] = {}  # worker -> executors granted there now
    for send in sent:
        worker_id = ctx.books.worker_of_peer.get(send.peer)
        if isinstance(send.message, LaunchExecutor) and worker_id is not None:
            granted.setdefault(worker_id, []).append(send.message)
    for worker in ctx.books.workers.values():
        if worker.is_usable:
            _nothing_waits(ctx, worker, granted.get(worker.record.id, []), fail)


def _number(identifier: str) -> int:
    return int(identifier.rsplit("-", 1)[1])


def _drivers_in_order(ctx: Context, launches: list[LaunchDriver], fail: Fail) -> None:
    first = [message for message in launches if message.attempt == 1]
    if not first:
        return
    for driver_id in ctx.books.queue:
        waiting = ctx.books.drivers[driver_id].record
        if waiting.attempts:
            continue  # back in the queue, at its end
        for message in first:
            shape = (message.driver.cores, message.driver.memory_mib)
            same = shape == (waiting.description.cores, waiting.description.memory_mib)
            if same and _number(driver_id) < _number(message.driver_id):
                fail("fifo", f"{message.driver_id} is launched before {driver_id}, which came first")


def _nothing_waits(ctx: Context, worker: Worker, granted: list[LaunchExecutor], fail: Fail) -> None:
    """Drivers are served before applications, and applications in the order they registered. No job may wait for cores
    that are free, or that were given to a later one in the queue."""
    cores, memory = worker.cores_free, worker.memory_free
    held = [(message.app_id, message.cores, message.memory_mib) for message in granted]
    running = len(ctx.books.drivers) - len(ctx.books.queue) - len(ctx.books.relaunching)
    if running < ctx.policy.max_drivers:
        for shape in ctx.books.queue.demands():
            if shape.cores <= cores + sum(c for _, c, _ in held) and shape.memory_mib <= memory + sum(
                m for _, _, m in held
            ):
                fail("fifo", f"a driver of {shape} waits and fits on {worker.record.id}")
    order = list(ctx.books.apps)
    for index, app_id in enumerate(order):
        app = ctx.books.apps[app_id]
        behind = [(c, m) for other, c, m in held if other in order[index + 1 :]]
        if _wants(ctx, app, worker) and _fits(
            app, cores + sum(c for c, _ in behind), memory + sum(m for _, m in behind)
        ):
            fail("fifo", f"{app_id} wants executors and would get one on {worker.record.id}")


def _wants(ctx: Context, app: App, worker: Worker) -> bool:
    record = app.record
    if app.peer is None or app.not_before > ctx.now.mono or len(app.executors) >= record.executor_limit:
        return False
    if cores_left(app) < (record.description.cores_per_executor or 1):
        return False
    # Without cores_per_executor a worker gets one executor in each pass: more may follow in the next.
    return record.description.cores_per_executor is not None or not any(
        executor.worker_id == worker.record.id for executor in app.executors.values()
    )


def _fits(app: App, cores: int, memory: int) -> bool:
    description = app.record.description
    return (description.cores_per_executor or 1) <= cores and description.memory_mib <= memory
