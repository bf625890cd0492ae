"""What a master believes of workers' reports (ADR 23). A worker's key is worth one worker: whatever its holder reports,
nothing happens to jobs that no master placed there.

A report counts if the books placed the attempt with the worker's key, or if it carries the *seal* that a master sent with
the launch. Only who has the masters' secret can make a seal. So a master without records learns from its workers what ran
there before, and nobody can invent a job, change it, or give it another owner.
"""

from __future__ import annotations

import hmac

import msgspec

from stoker.core.master.books import Books, Worker
from stoker.core.master.context import Context
from stoker.core.master.effects import Received
from stoker.core.model.messages import LaunchDriver, LaunchExecutor, RegisterWorker
from stoker.core.model.records import Attempt, ExecutorRecord
from stoker.core.model.values import DriverReport, ExecutorReport


def driver_seal(secret: bytes, of: LaunchDriver | DriverReport) -> str:
    """Return the seal of an attempt; "" without a secret, which is without authentication."""
    return _seal(secret, ["driver", of.driver_id, of.attempt, of.driver, of.principal])


def executor_seal(secret: bytes, of: LaunchExecutor | ExecutorReport) -> str:
    """Return the seal of an executor, as ``driver_seal``."""
    return _seal(secret, ["executor", of.app_id, of.executor_id, of.cores, of.memory_mib, of.app, of.principal])


def worker_seal(secret: bytes, worker_id: str, key: str) -> str:
    """Return the seal of a worker's id, for the key that registered it."""
    return _seal(secret, ["worker", worker_id, key])


def _seal(secret: bytes, fields: list[object]) -> str:
    return hmac.new(secret, msgspec.json.encode(fields), "sha256").hexdigest() if secret else ""


def has_driver_seal(ctx: Context, report: DriverReport) -> bool:
    wanted = driver_seal(ctx.secret, report)
    return not wanted or hmac.compare_digest(wanted.encode(), report.seal.encode())


def has_executor_seal(ctx: Context, report: ExecutorReport) -> bool:
    wanted = executor_seal(ctx.secret, report)
    return not wanted or hmac.compare_digest(wanted.encode(), report.seal.encode())


def has_worker_seal(ctx: Context, event: Received, message: RegisterWorker) -> bool:
    """Return whether the sender's key has registered this id before."""
    wanted = worker_seal(ctx.secret, message.worker_id, event.key)
    return not wanted or hmac.compare_digest(wanted.encode(), message.seal.encode())


def is_placed(worker: Worker, placed: Attempt | ExecutorRecord) -> bool:
    """Return whether the books placed it with the worker's key. Records of release 0.1.0 do not say with which key: there the
    worker, or its host, must be the same."""
    if placed.worker_key:
        return worker.owns(placed.worker_key)
    return placed.worker_id == worker.record.id or placed.worker_host == worker.record.host


def may_adopt(ctx: Context) -> bool:
    """Return whether unknown jobs of workers are taken over: a while after the master's start, in which all workers of an
    earlier master come back."""
    return ctx.now.mono <= ctx.adopts_until


def may_fetch(books: Books, peer: bytes, sha256: str) -> bool:
    """Return whether an upload belongs to a driver that is placed on this worker."""
    worker = books.workers.get(books.worker_of_peer.get(peer, ""))
    drivers = (books.drivers[driver_id] for driver_id in worker.drivers) if worker is not None else ()
    return any(artifact.sha256 == sha256 for driver in drivers for artifact in driver.record.description.artifacts)
