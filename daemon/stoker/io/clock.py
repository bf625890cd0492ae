"""The clocks of this machine, read once for each event: the cores take the time as an argument."""

from __future__ import annotations

import time

from stoker.core.model.values import Now


def read_clock() -> Now:
    return Now(time.monotonic(), time.time())
