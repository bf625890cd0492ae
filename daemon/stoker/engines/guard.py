"""``python guard.py DRIVER MARK FOLDER``: stops the processes of an engine when its driver (a pid) has ended, for any reason,
and removes FOLDER.

The driver holds the other end of standard input. When the driver writes there or ends, every process with MARK
(``NAME=VALUE``) in its environment gets TERM, and KILL if it still runs. So does a process with an open file in FOLDER whose
environment cannot be read, because a long title was written over it (Ray's agents do that). Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import time

LOOK = 0.5  # seconds between looks for the driver
GRACE = 2.0  # seconds between TERM and KILL
GIVE_UP = 10.0  # seconds until a process that KILL does not end is left to the kernel


def belongs(process: str, mark: bytes, folder: str) -> bool:
    """``process`` is its folder in /proc. Raises OSError when it has ended, or belongs to another user."""
    with open(f"{process}/environ", "rb") as file:  # noqa: PTH123
        environment = file.read()
    if mark in environment.split(b"\0"):
        return True
    if environment and not environment.startswith(b"\0"):
        return False
    for entry in os.scandir(f"{process}/fd"):
        with contextlib.suppress(FileNotFoundError):  # just closed
            if os.readlink(entry).startswith(f"{folder}/"):  # noqa: PTH115
                return True
    return False


def belonging(mark: bytes, folder: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and int(name) != os.getpid():
            try:
                if belongs(f"/proc/{name}", mark, folder):
                    found.append(int(name))
            except OSError:
                continue
    return found


def end_all(mark: bytes, folder: str) -> None:
    began = time.monotonic()
    number = signal.SIGTERM
    while (left := belonging(mark, folder)) and time.monotonic() < began + GIVE_UP:
        for pid in left:
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.05)
        if time.monotonic() > began + GRACE:
            number = signal.SIGKILL


def wait_for(driver: int) -> None:
    """Wait for the driver's end. A process forked from the driver holds the other end, too, so its closing is no proof."""
    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN)
    while not poller.poll(LOOK * 1000) and os.getppid() == driver:
        pass


def main() -> None:
    driver, mark, folder = sys.argv[1:]
    # The driver handles Ctrl-C and the end of the terminal.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    wait_for(int(driver))
    end_all(mark.encode(), folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
