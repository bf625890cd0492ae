"""Time limits in the master's books (ADR 27). The worker's keeper enforces them; the master books the ends."""

from __future__ import annotations

from stoker.core.master.books import Worker
from stoker.core.model.limits import span

_WITHOUT = "0.1."  # how the releases begin that know no time limits


def unenforced(limit: float, worker: Worker) -> str:
    """Return a remark on a job with a limit that this worker's release does not enforce; "" if it does."""
    if not limit or not worker.record.version.startswith(_WITHOUT):
        return ""
    release = worker.record.version.partition("-")[0]
    return f"its time limit of {span(limit)} is not enforced: its worker has release {release}"
