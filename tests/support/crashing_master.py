"""``python -m tests.support.crashing_master N master ...``: a real master that kills itself (SIGKILL) at the N-th boundary
between its effects. Boundaries are before and after each durable write, and before each message."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from stoker.cli import main
from stoker.io.server import Server
from stoker.recovery.filesystem import FilesystemRecovery
from stoker.recovery.zookeeper import ZooKeeperRecovery


class Boundaries:
    def __init__(self, last: int) -> None:
        self._left = last

    def cross(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
        @functools.wraps(function)
        def crossed(*args: Any) -> Any:
            self.cross()
            result = function(*args)
            if after:
                self.cross()
            return result

        return crossed


if __name__ == "__main__":
    boundaries = Boundaries(int(sys.argv[1]))
    for engine in (FilesystemRecovery, ZooKeeperRecovery):
        engine.commit = boundaries.around(engine.commit, after=True)  # type: ignore[method-assign]
    Server.send = boundaries.around(Server.send, after=False)  # type: ignore[method-assign]
    sys.exit(main(sys.argv[2:]))
