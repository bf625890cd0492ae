"""The command line of a helper process in Python: it imports what this process does, and nothing from the current folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# ``-I`` ignores the current folder, PYTHONPATH and the user's own packages: those that this process itself uses are named.
_RUN = (
    "import os, runpy, sys; sys.path += [p for p in sys.argv.pop(1).split(os.pathsep) if p not in sys.path];"
    " runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def isolated(module: str, *words: str, path: str = "") -> list[str]:
    """Return argv of ``python -m MODULE WORDS``, which runs no code of whoever may write in the current folder. ``path``
    names further folders to import from, as PYTHONPATH does."""
    here = os.path.realpath(os.curdir)
    found = [*sys.path, *path.split(os.pathsep)]
    folders = [folder for folder in found if Path(folder).is_absolute() and os.path.realpath(folder) != here]
    return [sys.executable, "-I", "-c", _RUN, os.pathsep.join(folders), module, *words]
