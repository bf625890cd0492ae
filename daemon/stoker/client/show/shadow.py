"""A shadow policy as tables: what it would change (docs/scheduling.md)."""

from __future__ import annotations

from stoker.client.show import table as text
from stoker.core.model.pools import ShadowView

_POOL = ("Pool", "Waiting", "Never start", "Never by the shadow", "Mean wait", "Mean wait by the shadow")
_JOB = ("Id", "Name", "User", "Pool", "Starts", "Starts by the shadow")


def shadow_tables(shadow: ShadowView) -> str:
    """Return what the comparisons have found, or why there is none."""
    title = f"Shadow {text.clean(shadow.file)}"
    if shadow.fault or (shadow.note and not shadow.comparisons):
        return f"{title}: {text.clean(shadow.fault or shadow.note, 500)}"
    if not shadow.comparisons:
        return f"{title}: not compared yet"
    times = "once" if shadow.comparisons == 1 else f"{shadow.comparisons} times"
    lines = [
        f"{title}: compared {times} since {text.when(shadow.since)}, last at {text.when(shadow.at)}; of what waits"
        f" {shadow.sooner} would start sooner, {shadow.later} later"
    ]
    if shadow.note:
        lines.append(text.clean(shadow.note, 500))
    pools = [
        [
            text.clean(pool.name),
            str(pool.waiting),
            str(pool.never),
            str(pool.shadow_never),
            text.duration(pool.wait) if pool.starts else "",
            text.duration(pool.shadow_wait) if pool.starts else "",
        ]
        for pool in shadow.pools
    ]
    parts = ["\n".join(lines)]
    if pools:
        parts.append(text.table("Waits", _POOL, pools))
    if shadow.jobs:
        jobs = [
            [
                job.id,
                text.clean(job.name),
                text.clean(job.who),
                text.clean(job.pool),
                _start(job.start),
                _start(job.shadow_start),
            ]
            for job in shadow.jobs
        ]
        parts.append(text.table("Starts that differ most", _JOB, jobs))
    return "\n\n".join(parts)


def _start(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return "at once" if seconds < 1 else f"after {text.duration(seconds)}"
