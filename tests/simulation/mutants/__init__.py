"""Planted bugs, which show that the simulator finds bugs. Each changes the real code within a ``with`` block, and a run of
seeds must find it (test_mutants.py, and the table in docs/simulation.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulation.mutants import arrays, books, drivers, journal, peers, reservations, storage, waiting

Mutation = Callable[[], Any]  # a context manager

# The faults that reveal the bug; () for those that the seeds choose.
MUTANTS: dict[Mutation, tuple[str, ...]] = {
    storage.skip_fence: ("expire_session", "freeze_master"),
    storage.same_epoch: ("expire_session",),
    storage.send_before_persist: ("kill_master", "slow_disk"),
    storage.lost_write: ("kill_master",),
    drivers.double_launch: (),
    peers.lost_ack: (),
    storage.reused_id: ("kill_master",),
    peers.ignored_death: ("kill_worker", "reset"),
    books.leaked_cores: (),
    drivers.kill_without_report: (),
    drivers.stale_report: ("freeze_worker", "cut", "reset"),
    peers.obey_anybody: ("expire_session", "freeze_master", "freeze_worker"),
    peers.silent_registration: ("reset", "kill_master"),
    peers.forgotten_end: ("stop_master", "kill_master"),
    peers.immortal: ("kill_worker",),
    books.last_in_first_out: (),
    books.no_limits: (),
    books.unlimited_gpus: (),
    books.never_credited: (),
    reservations.reserved_at_once: (),
    reservations.gang_in_parts: (),
    reservations.gang_never_fits: (),
    drivers.ignored_token: ("reset", "kill_master"),
    storage.hasty_recovery: ("kill_master", "kill_worker"),
    drivers.hasty_replacement: ("kill_worker", "reset"),
    books.free_while_dying: (),
    books.freed_at_kill: (),
    books.second_grant: (),
    storage.forgotten_kill: (),
    books.orphaned_executors: (),
    books.no_replacement: (),
    drivers.counted_refusal: ("full_worker",),
    drivers.believed_report: ("hostile",),
    drivers.freed_id: ("hostile", "freeze_worker"),
    drivers.requeued_invention: ("hostile",),
    peers.ignored_drain: (),
    peers.ignored_deadline: (),
    peers.ignored_illness: ("ill_worker",),
    drivers.second_run: ("power_cut_at_start",),
    journal.unwritten_intent: ("kill_daemon_and_keeper_at_start",),
    journal.unread_notes: ("kill_daemon_and_keeper", "kill_master"),
    journal.unnamed_loss: ("kill_daemon_and_keeper_at_start",),
    journal.unsynced_end: ("power_cut_at_end", "kill_master"),
    journal.trusted_after_a_power_cut: ("power_cut_at_start",),
    drivers.ignored_end: ("cut", "freeze_worker"),
    drivers.second_end: ("kill_worker",),
    peers.own_sleep: ("hang_new_master", "reset"),
    peers.forgotten_question: ("reset", "kill_master"),
    peers.believed_standby: ("kill_master",),
    peers.single_try: (),
    peers.unlimited: (),
    waiting.ignored_hold: (),
    waiting.early_child: (),
    waiting.forgotten_child: (),
    waiting.child_of_a_failure: (),
    waiting.dropped_parents: ("kill_master",),
    waiting.hopeful_dry_run: (),
    waiting.forgotten_hold: ("kill_master",),
    arrays.unwritten_chunk: (),
    arrays.unasked_limit: (),
    arrays.skipped_index: ("kill_master",),
    arrays.unnoted_end: (),
    arrays.last_index_first: (),
}
