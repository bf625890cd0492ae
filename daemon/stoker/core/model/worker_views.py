"""Immutable view of a worker's jobs, for its dashboard (spec 15.4, 15.5). Memory in MiB."""

from __future__ import annotations

from stoker.core.model.addresses import address_of
from stoker.core.model.resources import Addresses
from stoker.core.model.states import DriverState, ExecutorState
from stoker.core.model.values import Exit, Unfit, Value
from stoker.core.model.views import shown_version


class ExecutorPage(Value, frozen=True):
    app_id: str
    executor_id: int
    app_name: str
    user: str
    cores: int
    memory_mib: int
    state: ExecutorState
    pid: int = 0
    exit: Exit = Exit()
    command: tuple[str, ...] = ()
    app_cores_max: int | None = None  # None: unlimited
    started: float = 0.0  # seconds since the Unix epoch
    ended: float = 0.0
    resources: Addresses = ()


class DriverPage(Value, frozen=True):
    driver_id: str
    main: str
    main_class: str
    cores: int
    memory_mib: int
    state: DriverState
    attempt: int = 1
    pid: int = 0
    exit: Exit = Exit()
    name: str = ""
    user: str = ""
    started: float = 0.0  # seconds since the Unix epoch
    ended: float = 0.0
    resources: Addresses = ()


class WorkerPage(Value, frozen=True):
    id: str
    master_url: str
    master_webui_url: str
    host: str
    port: int
    webui_url: str
    cores: int
    cores_used: int
    memory_mib: int
    memory_used_mib: int
    executors: tuple[ExecutorPage, ...] = ()
    finished_executors: tuple[ExecutorPage, ...] = ()
    drivers: tuple[DriverPage, ...] = ()
    finished_drivers: tuple[DriverPage, ...] = ()
    resources: Addresses = ()  # that it offers
    resources_used: Addresses = ()
    version: str = ""  # the release of Stoker on it
    keeper_release: str = ""  # that of its keeper, if it is not ``version``
    unfit: tuple[Unfit, ...] = ()  # what is wrong with its host
    limits: str = ""  # for people: whether it limits and measures its jobs, and how
    run_as: str = ""  # for people: which accounts its jobs run as
    users_fault: str = ""  # for people: what is wrong with its users.yml, while the one before the fault is obeyed

    @property
    def address(self) -> str:
        """HOST:PORT, [HOST]:PORT for IPv6."""
        return address_of(self.host, self.port)

    @property
    def shown_version(self) -> str:
        """The release for people, with that of a keeper from before an upgrade."""
        return shown_version(self.version, self.keeper_release)
