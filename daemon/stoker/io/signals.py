"""The signals that ask a program to end, as far as this system has them: Windows lacks SIGHUP."""

from __future__ import annotations

import signal

END_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
