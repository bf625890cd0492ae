"""``python -I -S clear.py FOLDER``: remove all that is in a folder.

The keeper runs it as the account that owns the folder, so it removes nothing that the account could not remove itself.
Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any


def _once_more(remove: Callable[..., Any], path: str, _: object) -> None:
    """A folder that its owner made read-only."""
    with contextlib.suppress(OSError):
        os.chmod(os.path.dirname(path), 0o700)  # noqa: PTH101, PTH120
        if not os.path.islink(path) and os.path.isdir(path):  # noqa: PTH112, PTH114
            os.chmod(path, 0o700)  # noqa: PTH101
            shutil.rmtree(path, ignore_errors=True)
        else:
            remove(path)


def main() -> None:
    folder = sys.argv[1]
    os.chmod(folder, 0o700)  # noqa: PTH101
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, onerror=_once_more)
        else:
            os.unlink(entry.path)  # noqa: PTH108


if __name__ == "__main__":
    main()
