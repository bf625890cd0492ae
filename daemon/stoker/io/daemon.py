"""The start of both daemons: logging, and JVM settings as far as they apply."""

from __future__ import annotations

import logging
import math
import os
import resource
import signal
import stat
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

from stoker.errors import ConfigError
from stoker.io.log_lines import OF_A_DAEMON, set_up_root

MIB = 1024 * 1024
NOFILE = resource.RLIMIT_NOFILE
FEWEST_DESCRIPTORS = 64  # of a daemon with a handful of connections and jobs
LEAST_SPACE_MIB = 768  # a master with a dashboard that is read has 500, most of it never touched


def set_up_logging(mode: int) -> None:
    """Log to stderr, one line an event, with time and level. The log, if it is a file of this user, and everything that this
    daemon and its jobs create is open to other users only as far as ``mode`` allows (0o600 or 0o640)."""
    os.umask(0o027 if mode & 0o040 else 0o077)
    with suppress(OSError):
        status = os.fstat(sys.stderr.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_mode & 0o777 & ~mode:
            os.fchmod(sys.stderr.fileno(), status.st_mode & mode)
    set_up_root(logging.INFO, OF_A_DAEMON)


def log_settings(log: logging.Logger, warnings: Iterable[str], ignored: Iterable[str]) -> None:
    """Name each doubtful setting, and each that has no effect here, once."""
    for warning in warnings:
        log.warning("%s", warning)
    for setting in ignored:
        log.info("%s is for a JVM and has no effect here", setting)


def check_limits() -> None:
    """Raises ConfigError if this process may have too few descriptors or too little address space for a daemon: it would fail
    later, with the first connections. A soft limit of descriptors is raised as far as needed."""
    soft, hard = (math.inf if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(NOFILE))
    if hard < FEWEST_DESCRIPTORS:
        raise ConfigError(
            f"this daemon may open {hard} files, and needs {FEWEST_DESCRIPTORS} or more: raise the limit of this shell"
            " (ulimit -n), or LimitNOFILE of its unit"
        )
    if soft < FEWEST_DESCRIPTORS:
        resource.setrlimit(NOFILE, (FEWEST_DESCRIPTORS, resource.getrlimit(NOFILE)[1]))
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if space != resource.RLIM_INFINITY and space < LEAST_SPACE_MIB * MIB:
        raise ConfigError(
            f"this daemon has {space // MIB} MiB of address space, and needs {LEAST_SPACE_MIB}: raise the limit of this"
            " shell (ulimit -v), or LimitAS of its unit; SPARK_DAEMON_MEMORY limits its memory"
        )


def limit_memory(mib: int | None) -> None:
    """Bound this process's own data (SPARK_DAEMON_MEMORY, -Xmx). The hard limit stays, so children can lift it."""
    if mib is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = mib * MIB
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


def handle_hangup(*, on_terminal_closed: Callable[[], None], log: Callable[[str], None]) -> None:
    """Decide what SIGHUP does. A daemon on a terminal stops when the terminal closes; started with nohup it goes on; a
    service logs that there is nothing to read again. Both functions are called from a signal handler."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return
    if sys.stderr.isatty():
        signal.signal(signal.SIGHUP, lambda *_: on_terminal_closed())
    else:
        text = "SIGHUP: nothing to do; keys and tokens are read when they change, settings at the next start"
        signal.signal(signal.SIGHUP, lambda *_: log(text))
