"""``python guard.py MARK FOLDER``: ends what an engine left when its driver is gone, by whatever cause, and removes FOLDER.

The driver holds the other end of standard input. When that is closed, every process with MARK (``NAME=VALUE``) in its
environment gets TERM, and KILL when it still runs. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time

GRACE = 2.0  # seconds between TERM and KILL
GIVE_UP = 10.0  # seconds until what even KILL does not end is left to the kernel


def marked(mark: bytes) -> list[int]:
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123
                    if mark in file.read().split(b"\0"):
                        found.append(int(name))
            except OSError:  # gone, or another user's
                continue
    return found


def end_all(mark: bytes) -> None:
    began = time.monotonic()
    number = signal.SIGTERM
    while (left := marked(mark)) and time.monotonic() < began + GIVE_UP:
        for pid in left:
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.05)
        if time.monotonic() > began + GRACE:
            number = signal.SIGKILL


def main() -> None:
    mark, folder = sys.argv[1:]
    # Ctrl-C, and the end of the terminal, are the driver's business.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_all(mark.encode())
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
