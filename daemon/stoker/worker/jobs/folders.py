"""Size and removal of folders of jobs.

Small programs of the system do the work: whatever a job has left there, a million files cost their time and not the daemon's.
Symbolic links are not followed.
"""

from __future__ import annotations

import itertools
import os
import stat
from contextlib import suppress
from pathlib import Path

from stoker.worker.keeper.parts import rolled_parts
from stoker.worker.script import ScriptFailed, run

_ENVIRON = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
_GENTLY = ("nice", "-n", "10")
_REMOVE_WITHIN = 3600.0  # seconds
_ASIDE = ".removed-"  # how the name of a folder begins that waits for its removal
_OWN = frozenset({"stdout", "stderr", ".attempts"})  # of the worker, in a job's folder


class NotMeasured(Exception):
    """One line: why the size is unknown."""


def disk_used(folder: Path, *, within: float) -> int:
    """Return the bytes on disk that the folder takes; 0 for a folder that does not exist. What is mounted in it does not
    count, and a file with several names counts once. Raises NotMeasured, also when it takes more than ``within`` seconds."""
    try:
        ran = run([*_GENTLY, "du", "-skx", "--", str(folder)], within=within, environ=_ENVIRON)
    except ScriptFailed as error:
        raise NotMeasured(f"du {error}") from None
    if ran.code is None:
        raise NotMeasured(f"du has not measured {folder} within {within:g} s")
    kib, separator, _ = ran.printed.partition(b"\t")  # files that vanish meanwhile make it fail, with a right sum
    if separator and kib.strip().isdigit():
        return int(kib) * 1024
    if not os.path.lexists(folder):
        return 0
    lines = ran.said.decode(errors="replace").strip().splitlines()
    raise NotMeasured(f"du cannot measure {folder}: {lines[-1][:200] if lines else 'it printed nothing'}")


def is_aside(name: str) -> bool:
    return name.startswith(_ASIDE)


def set_aside(folder: Path) -> Path | None:
    """Rename the folder, so that its name is free; return its path now, for ``remove``. None if it does not exist. Raises
    OSError."""
    for number in itertools.count():
        aside = folder.with_name(f"{_ASIDE}{folder.name}-{number}")
        if os.path.lexists(aside):
            continue
        try:
            folder.rename(aside)
        except FileNotFoundError:
            return None
        return aside
    raise AssertionError


def set_files_aside(folder: Path) -> Path | None:
    """As ``set_aside``, but the folder keeps its logs and its time of change. Raises OSError."""
    if folder.is_symlink() or not folder.is_dir():
        return None
    before = folder.stat()
    aside = set_aside(folder)
    if aside is None:
        return None
    with suppress(OSError):  # a job may have closed its folder
        aside.chmod(0o700)
    folder.mkdir(mode=0o700)
    for name in log_files(aside):
        with suppress(FileNotFoundError):
            (aside / name).rename(folder / name)
    os.utime(folder, (before.st_atime, before.st_mtime))
    return aside


def log_files(folder: Path) -> dict[str, int]:
    """Return the names of the logs in a job's folder, with the bytes on disk that each takes."""
    names = [*_OWN]
    for stream in ("stdout", "stderr"):
        with suppress(OSError):
            parts = [os.path.basename(part.path) for part in rolled_parts(str(folder / stream))]  # noqa: PTH119
            names += [name + ending for name in parts for ending in ("", ".gz")]
    found = {}
    for name in names:
        with suppress(OSError):
            status = (folder / name).stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                found[name] = status.st_blocks * 512
    return found


def remove(folder: Path) -> None:
    """Remove a folder that was set aside, also where a job has closed folders in it. Never raises: what is left is found
    again by its name."""
    for program in (("rm", "-rf"), ("chmod", "-R", "u+rwx"), ("rm", "-rf")):
        with suppress(ScriptFailed):
            run([*_GENTLY, *program, "--", str(folder)], within=_REMOVE_WITHIN, environ=_ENVIRON)
        if not os.path.lexists(folder):
            return
