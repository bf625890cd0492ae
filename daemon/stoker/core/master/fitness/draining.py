"""Draining: a worker gets no new jobs while its running jobs continue; and forgetting workers that will not come back.

The mark belongs to a worker's address (HOST:PORT), which a restarted worker keeps, not to its id, which is new with each
start. It is in the worker's record, and the worker itself keeps and reports it, so it survives a restart of either side even
if the master keeps no records. Of two marks the one with the higher revision counts.
"""

from __future__ import annotations

import logging

from stoker.core.master.books import Worker
from stoker.core.master.context import Context
from stoker.core.master.fitness import deadlines
from stoker.core.master.show import worker_view
from stoker.core.model.addresses import names_address
from stoker.core.model.messages import DrainWorkers, Failed, ForgetWorkers, RegisterWorker, SetDrain, Workers
from stoker.core.model.principal import Asker
from stoker.core.model.records import worker_key
from stoker.core.model.states import WorkerState
from stoker.core.model.values import DrainMark, Order


def find_workers(ctx: Context, name: str) -> list[Worker]:
    """Find workers by id (also that of a worker restarted since), or by address: HOST, HOST:PORT, [V6]:PORT or V6."""
    by_id = ctx.books.current_worker(name)
    if by_id is not None:
        return [by_id]
    workers = ctx.books.workers.values()
    return [worker for worker in workers if names_address(name, worker.record.host, worker.record.port)]


def drain(ctx: Context, peer: bytes | None, message: DrainWorkers, *, by: Asker) -> None:
    """Mark all named workers; if one of them is unknown, mark none."""
    chosen = _chosen(ctx, peer, message)
    for worker in chosen:
        until = ctx.now.wall + message.deadline if message.deadline else 0.0
        order = by.order(ctx.now.wall)
        _mark(ctx, worker, worker.record.drain.changed(message.drain, order, reason=message.reason, until=until))
    if chosen:
        ctx.send(peer, Workers(request=message.request, workers=tuple(map(worker_view, chosen))))


def forget(ctx: Context, peer: bytes | None, message: ForgetWorkers) -> None:
    """Remove workers from the list, all or none. A worker that is connected, or may come back with its drivers, stays."""
    chosen = _chosen(ctx, peer, message)
    for worker in chosen:
        address = worker.record.address
        if worker.peer is not None or worker.drivers or worker.record.state is not WorkerState.DEAD:
            reason = f"{address} is {worker.record.state.value}: stop the worker first"
            if worker.peer is None:
                reason = f"{address} is unreachable and may come back with its drivers: try again in a minute"
            ctx.send(peer, Failed(request=message.request, reason=reason))
            return
    views = tuple(map(worker_view, chosen))
    for worker in chosen:
        ctx.books.drop_worker(worker)
        ctx.tally.workers_removed["forgotten"] += 1
        ctx.forget(worker_key(worker.record.id))
        ctx.log(f"forgot {worker.record.id}")
    if chosen:
        ctx.send(peer, Workers(request=message.request, workers=views))


def carried_over(worker: Worker, predecessor: Worker | None, message: RegisterWorker) -> DrainMark:
    """Return the mark of a (re-)registering worker: the latest that the books or the worker itself know."""
    known = [worker.record.drain, message.drain]
    if predecessor is not None:
        known.insert(0, predecessor.record.drain)
    return max(known, key=lambda mark: mark.revision)


def tell(ctx: Context, worker: Worker, reported: DrainMark) -> None:
    """Send the mark to a worker that has an older one."""
    if worker.record.drain != reported:
        ctx.send(worker.peer, SetDrain(epoch=ctx.epoch, drain=worker.record.drain))


def _mark(ctx: Context, worker: Worker, mark: DrainMark) -> None:
    record = worker.record
    before, record.drain = record.drain, mark
    if record.drain == before:
        return
    ctx.save_worker(record)
    tell(ctx, worker, before)
    deadlines.arm(ctx, worker)
    ctx.schedule_wanted = True
    words = (mark.order or Order()).words("drained" if mark.draining else "undrained")
    ctx.log(f"{record.id} was {words}" + (f": {mark.reason}" if mark.reason else ""), logging.INFO)


def _chosen(ctx: Context, peer: bytes | None, message: DrainWorkers | ForgetWorkers) -> list[Worker]:
    """Return each named worker once. If a name fits no worker, send that as the answer and return none."""
    chosen: dict[str, Worker] = {}
    for name in message.workers:
        found = find_workers(ctx, name)
        if not found:
            reason = f"there is no worker {name[:200]!r}: 'stoker status' lists them"
            ctx.send(peer, Failed(request=message.request, reason=reason, code="not-found"))
            return []
        chosen.update((worker.record.id, worker) for worker in found)
    if not chosen:
        reason = "no worker is named: give an id, HOST or HOST:PORT"
        ctx.send(peer, Failed(request=message.request, reason=reason, code="bad-request"))
    return list(chosen.values())
