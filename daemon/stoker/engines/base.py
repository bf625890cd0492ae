"""What an engine of Python programs receives, and what it may ask of its application."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stoker.core.application.events import Executor
from stoker.core.model.resources import GPU, Amounts
from stoker.core.model.values import UNLIMITED, Command


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What an application asks for: ``spark.cores.max``, ``spark.executor.*``, ``spark.dynamicAllocation.*`` and the like.

    ``max_cores`` None: as many as the cluster grants. ``cores`` and ``memory_mib`` are those of each executor; ``cores``
    None: the engine's default. ``dynamic``: as many executors as there is work for, from ``initial``, between ``least`` and
    ``most``. ``time_limit``: seconds that an executor may run; ``max_disk_mib``: that its files may take; 0: no limit.
    ``python`` is the executors' interpreter (``""``: see ``engines.python``); ``env`` and ``py_files`` go to them; ``host``
    and ``port`` (0: any) are where this side listens. ``named``: GPUs and other named resources of each executor.
    """

    host: str
    port: int = 0
    max_cores: int | None = None
    cores: int | None = None
    memory_mib: int = 1024
    time_limit: float = 0.0
    max_disk_mib: int = 0
    dynamic: bool = False
    least: int = 0
    initial: int = 0
    most: int = UNLIMITED
    python: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    py_files: tuple[Path, ...] = ()
    named: Amounts = ()

    @property
    def engine_resources(self) -> dict[str, int]:
        """What each executor has for tasks to ask for: named resources, of which Dask and Ray write GPUs as ``GPU``."""
        return {name.upper() if name == GPU else name: amount for name, amount in self.named}

    @property
    def executor_limit(self) -> int:
        """How many executors the application wants at first."""
        return max(self.initial, self.least) if self.dynamic else UNLIMITED


class Grants(Protocol):
    """An application's executors, as its master grants them."""

    @property
    def executors(self) -> tuple[Executor, ...]: ...

    def request_executors(self, limit: int) -> None: ...

    def kill_executors(self, executor_ids: Iterable[int]) -> None: ...


class Engine(Protocol):
    """An engine's own scheduler, listening beside the driver. ``label`` is its name for people, ``cores`` what an executor
    has by default (None: all that are free on its worker), ``address`` where executors connect to, ``ui_url`` its pages."""

    label: str
    cores: int | None
    address: str
    ui_url: str

    def command(self) -> Command:
        """Return what an executor runs."""
        ...

    def attach(self, grants: Grants) -> None:
        """Called when the application runs: from now on, scaling asks its master."""
        ...

    def fail(self, reason: str) -> None:
        """The application has ended: fail the results that the program waits for, with this reason."""
        ...

    def close(self) -> None:
        """Stop the engine. A second call does nothing."""
        ...
