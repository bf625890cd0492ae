"""What both daemons do at their start: logging, and honouring what can be honoured of JVM settings."""

from __future__ import annotations

import logging
import resource
import sys
from collections.abc import Iterable

MIB = 1024 * 1024


def set_up_logging() -> None:
    """Log to stderr, one line an event, with time and level."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def log_settings(log: logging.Logger, warnings: Iterable[str], ignored: Iterable[str]) -> None:
    """Name each doubtful setting, and each that has no effect here, once."""
    for warning in warnings:
        log.warning("%s", warning)
    for setting in ignored:
        log.info("%s is for a JVM and has no effect here", setting)


def limit_memory(mib: int | None) -> None:
    """Bound this process's own data (SPARK_DAEMON_MEMORY, -Xmx). The hard limit stays, so children can lift it."""
    if mib is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = mib * MIB
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
