"""Limits on time (ADR 27) and disk in the master's books. Workers enforce them; the master books the ends."""

from __future__ import annotations

from stoker.core.master.books import Worker
from stoker.core.model.limits import disk, span
from stoker.core.model.values import ApplicationDescription, DriverDescription

_WITHOUT = "0.1."  # how the releases begin that know no limits


def unenforced(job: DriverDescription | ApplicationDescription, worker: Worker) -> str:
    """Return a remark on a job with a limit that this worker's release does not enforce; "" if it does."""
    limits = [f"time limit of {span(job.time_limit)}"] if job.time_limit else []
    limits += [f"disk limit of {disk(job.max_disk_mib)}"] if job.max_disk_mib else []
    if not limits or not worker.record.version.startswith(_WITHOUT):
        return ""
    release = worker.record.version.partition("-")[0]
    verb = "is" if len(limits) == 1 else "are"
    return f"its {' and its '.join(limits)} {verb} not enforced: its worker has release {release}"
