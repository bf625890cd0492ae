"""Hosts that are not well: the worker measures and reports it, with each registration and heartbeat; nothing new is placed
there until it reports that nothing is wrong. Running jobs continue (ADR 26).

The worker's report replaces the last one, so nothing needs to be stored: a new master gets it with the registration, before
it places anything there. Workers of older releases report nothing, and count as fit.
"""

from __future__ import annotations

import logging

from stoker.core.master.books import Worker
from stoker.core.master.context import Context
from stoker.core.model.values import Unfit

MOST = 8  # reasons of one worker


def reported(ctx: Context, worker: Worker, unfit: tuple[Unfit, ...]) -> None:
    """Note what the worker reports about its host."""
    before, worker.unfit = worker.unfit, unfit[:MOST]
    unfit = worker.unfit
    if [one.kind for one in before] == [one.kind for one in unfit]:
        return
    if unfit:
        ctx.warn_of(worker.record.id, f"{worker.record.id} is unfit: {worker.unfit_words}; no job is placed there")
    else:
        ctx.log(f"{worker.record.id} is fit again", logging.INFO)
        worker.avoided_until = None  # the cause of its refusals has gone
    ctx.schedule_wanted = True
