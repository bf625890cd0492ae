"""Gangs: applications that begin with several executors at once, or wait (ADR 30)."""

from __future__ import annotations

import msgspec

from stoker.core.model.profiles import MIN_EXECUTORS_VARIABLE
from stoker.core.model.values import UNLIMITED, ApplicationDescription


def with_gang(app: ApplicationDescription, cores_max: int) -> ApplicationDescription | str:
    """Return the description with the number of executors that it needs at once, or in one line why that can never be.
    ``cores_max``: of all its executors together."""
    count = app.min_executors or _said(app.command.env.get(MIN_EXECUTORS_VARIABLE, ""))
    if isinstance(count, str):
        return count
    if count > 1:
        if app.cores_per_executor is None:
            return (
                f"{count} executors at once need spark.executor.cores (--executor-cores): without it the number of executors"
                " depends on the workers"
            )
        if (cores := count * app.cores_per_executor) > cores_max:
            return (
                f"{count} executors at once, each with {app.cores_per_executor}, need {cores} cores, and the application may"
                f" have {cores_max}: see spark.cores.max (--total-executor-cores)"
            )
    return app if count == app.min_executors else msgspec.structs.replace(app, min_executors=count)


def _said(text: str) -> int | str:
    if not text.strip():
        return 0
    if text.strip().isascii() and text.strip().isdigit() and 0 < int(text) <= UNLIMITED:
        return int(text)
    return f"{MIN_EXECUTORS_VARIABLE} must be a whole number of at least 1, not {text!r}"
