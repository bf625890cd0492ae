"""How values are shown to people."""

from __future__ import annotations

import time

from stoker.core.model.values import Exit


def show_mib(mib: int) -> str:
    """Memory as Spark shows it: ``512.0 MiB``, ``15.5 GiB``."""
    if mib >= 1024 * 1024:
        return f"{mib / 1024 / 1024:.1f} TiB"
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib}.0 MiB"


def show_iso(seconds: float) -> str:
    """For machines: ``2026-11-21T10:30:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def show_bytes(count: int) -> str:
    """``512 bytes``, ``1.5 KiB``, ``3.2 MiB``."""
    if count < 1024:
        return f"{count} byte{'s' * (count != 1)}"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


def show_duration(seconds: float) -> str:
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def show_exit(exit: Exit) -> str:
    """How a process ended; nothing while it has not."""
    if exit.signal is not None:
        return f"signal {exit.signal}"
    return "" if exit.code is None else f"exit {exit.code}"


def web_link(url: str) -> str:
    """Return ``url`` if it is safe as a link, else nothing: jobs and workers choose their own addresses."""
    return url if url.startswith(("http://", "https://")) else ""
