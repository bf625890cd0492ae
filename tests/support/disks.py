"""Small file systems of their own, for tests of full and read-only disks."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.wait import wait_until


@contextlib.contextmanager
def disk_of_its_own(folder: Path, *options: str) -> Iterator[Path]:
    """A file system of half a megabyte; ``options`` are those of mount, such as ``ro``. Skips the test where this user may
    not mount one."""
    folder.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", ",".join(("size=512k,mode=755", *options)), "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, check=False).returncode != 0:
        pytest.skip("needs root and the right to mount a tmpfs")
    try:
        yield folder
    finally:
        wait_until(lambda: subprocess.run(["umount", folder], check=False).returncode == 0, what="unmounted")


def fill(folder: Path) -> None:
    """Write a file until nothing more fits."""
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
