"""Tests that look at the whole machine run one at a time, also those of another pytest process."""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Wait until no other test holds ``name``, and hold it."""
    with (Path(tempfile.gettempdir()) / f"stoker-tests-{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
