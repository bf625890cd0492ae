"""Spark's Python files for its executors (ADR 19): a view of a Spark in which its zip files are folders.

An executor's Python finds pyspark in zip files in SPARK_HOME, first on its path, and compiles all that it imports from there
at every start. In folders of the same names Python keeps compiled files.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

_LIB = Path("python", "lib")
_FOLDERS = (Path(), Path("python"), _LIB)  # which a view does not link to, but makes


def view_key(home: Path) -> str:
    """Return the name of the view of the Spark in ``home``, which changes with its files; empty without zip files. Raises
    OSError."""
    words, has_zips = [str(home)], False
    for folder in _FOLDERS:
        with os.scandir(home / folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                words.append(str(folder / entry.name))
                if _is_zip(folder, entry.name):
                    status = entry.stat()
                    words.append(f"{status.st_size} {status.st_mtime_ns}")
                    has_zips = True
    return hashlib.sha256("\0".join(words).encode(errors="surrogateescape")).hexdigest()[:32] if has_zips else ""


def make_view(home: Path, view: Path) -> None:
    """Make the view in the empty folder ``view``. Raises OSError, also for a damaged zip file."""
    for folder in _FOLDERS:
        (view / folder).mkdir(exist_ok=True)
        for entry in (home / folder).iterdir():
            if folder / entry.name in _FOLDERS:
                continue
            if _is_zip(folder, entry.name):
                _unpack(entry, view / folder / entry.name)
            else:
                (view / folder / entry.name).symlink_to(entry.absolute())


def home_of(view: Path) -> Path:
    """Return the Spark that it is a view of. Raises OSError when it is not a view."""
    return (view / "jars").readlink().parent


def _is_zip(folder: Path, name: str) -> bool:
    return folder == _LIB and name.endswith(".zip")


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)
    except OSError:
        raise
    except Exception as error:  # each decompressor raises another kind for a damaged file
        raise OSError(f"{archive}: {error}") from None
