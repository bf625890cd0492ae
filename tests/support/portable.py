"""``python -m tests.support.portable COMMAND...``: the ``stoker`` command without what only Unix, or only Linux, has.

Modules that Windows lacks cannot be imported, and functions, signals and flags that it lacks are removed. Client code that
uses one of them fails as it would there.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES = frozenset({"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline"})
OF_OS = """
    getuid geteuid getgid getegid getgroups getpgid getpgrp setpgid killpg setsid fork forkpty uname chown lchown fchown
    fchmod sched_getaffinity mkfifo nice getpriority setpriority waitid wait wait3 wait4 pidfd_open O_CLOEXEC
    O_NOFOLLOW O_DIRECTORY
    O_NONBLOCK O_SYNC statvfs fchdir chroot sysconf openpty posix_spawn
""".split()  # noqa: SIM905
OF_SIGNAL = """
    SIGHUP SIGQUIT SIGKILL SIGUSR1 SIGUSR2 SIGCHLD SIGPIPE SIGALRM SIGPWR SIGWINCH SIGSTOP SIGCONT SIGTSTP pthread_sigmask
    pthread_kill sigwait sigwaitinfo sigtimedwait sigpending setitimer alarm siginterrupt pause
""".split()  # noqa: SIM905


class _Hidden(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def hide() -> None:
    """Take effect from now on. The standard library has already loaded what it needs."""
    import asyncio  # noqa: F401
    import logging.handlers  # noqa: F401
    import multiprocessing.util  # noqa: F401
    import selectors  # noqa: F401
    import subprocess  # noqa: F401
    import tempfile  # noqa: F401

    pair, unix = socket.socketpair, socket.AF_UNIX
    setattr(socket, "socketpair", lambda: pair(unix))  # noqa: B010 - Windows has it, over TCP
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, _Hidden())
    for holder, names in ((os, OF_OS), (signal, OF_SIGNAL), (socket, ["AF_UNIX", "SO_PEERCRED"])):
        for name in names:
            if hasattr(holder, name):
                delattr(holder, name)


if __name__ == "__main__":
    hide()
    from stoker.cli import main

    sys.exit(main())
