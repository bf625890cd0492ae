"""Detect processes that the kernel killed because memory ran out. Standard library only, as all the keeper imports.

Jobs share the keeper's control group, whose counter this reads (v2 ``memory.events``, v1 ``memory.oom_control``); where there
is none, the machine's (``/proc/vmstat``). The kernel counts before it kills.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

_COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class OomCounter:
    """``root`` is ``/`` except in tests."""

    def __init__(self, root: str = "/") -> None:
        self._paths = [*_group_files(root), os.path.join(root, "proc/vmstat")]  # noqa: PTH118 - no pathlib in the keeper
        self._seen = self._read()

    def has_grown(self) -> bool:
        """Return whether the kernel has killed a process for lack of memory since this last returned True."""
        count = self._read()
        grown, self._seen = count > self._seen, count
        return grown

    def _read(self) -> int:
        for path in self._paths:
            with contextlib.suppress(OSError), open(path, encoding="ascii") as file:  # noqa: PTH123
                found = _COUNT.search(file.read())
                if found is not None:
                    return int(found[1])
        return 0


def _group_files(root: str) -> Iterator[str]:
    """Yield possible folders of this process's control group: by its path, then as a container shows it."""
    try:
        with open(os.path.join(root, "proc/self/cgroup"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return
    tree = os.path.join(root, "sys/fs/cgroup")  # noqa: PTH118
    for _, controllers, group in lines:
        if "memory" in controllers.split(","):
            base, name = f"{tree}/memory", "memory.oom_control"
        elif not controllers:
            base, name = tree, "memory.events"
        else:
            continue
        yield f"{base}{group.rstrip('/')}/{name}"
        yield f"{base}/{name}"
