"""Watches ``pools.yml``: the master decides by it from the next round on. A file that is wrong changes nothing; the log and
the dashboard name its first fault until it is mended."""

from __future__ import annotations

import logging
from pathlib import Path

from stoker.config.pools import read_pools
from stoker.core.model.pools import Pools
from stoker.errors import ConfigError
from stoker.security.files import stamp

LOG = logging.getLogger("stoker.master")
LOOK_INTERVAL = 1.0  # seconds between looks at the file


class PoolsFile:
    """Lives as long as the process: a standby that is elected has the last good file, too. Raises ConfigError when the file
    is wrong at the start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = stamp(path)
        self._look_at = 0.0
        self.fault = ""  # of the file as it is now; "": none
        self.pools: Pools = Pools() if self._stamp is None else read_pools(path)
        self.shadow: Pools | None = None  # what ``pools.shadow`` names; None: nothing, or it has a fault
        self.shadow_fault = ""
        self._shadow_of: tuple[str, tuple[int, int, int] | None] = ("", None)  # the file's name and stamp
        self._look_at_shadow()

    def look(self, mono: float) -> float:
        """Read the file again if it has changed; return when to look next (``time.monotonic`` seconds)."""
        if mono < self._look_at:
            return self._look_at
        self._look_at = mono + LOOK_INTERVAL
        found = stamp(self._path)
        if found != self._stamp:
            self._read(found)
        self._look_at_shadow()
        return self._look_at

    def _read(self, found: tuple[int, int, int] | None) -> None:
        self._stamp = found
        try:
            pools = Pools() if found is None else read_pools(self._path)
        except ConfigError as error:
            self.fault = f"{error}; the pools stay as they were"
            LOG.error("%s", self.fault)
            return
        self.fault = ""
        if pools != self.pools:
            names = ", ".join(pools.pools) if pools.is_configured else "none: jobs are served in the order they came"
            LOG.info("pools: %s", names)
        self.pools = pools

    def _look_at_shadow(self) -> None:
        """Read the file that the pools name as their shadow, if it has changed. Its faults stop nothing."""
        name = self.pools.shadow
        path = self._path.parent / name
        found = (name, stamp(path) if name else None)
        if found == self._shadow_of:
            return
        self._shadow_of, self.shadow, self.shadow_fault = found, None, ""
        if not name:
            return
        try:
            self.shadow = read_pools(path)
        except ConfigError as error:
            self.shadow_fault = str(error)
            LOG.error("shadow: %s", error)
