"""The HTTP interfaces' access to a master, in each of its stages: starting, standby, leading."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stoker.core.model.changes import JobChange, WhatIf
from stoker.core.model.counts import Counts
from stoker.core.model.messages import DryRunResult, LogData, ReadLog
from stoker.core.model.principal import Asker
from stoker.core.model.values import DriverDescription
from stoker.core.model.views import AppView, ClusterView, DriverView, Sample
from stoker.errors import Refused
from stoker.master.daemon import MasterDaemon
from stoker.master.dashboard import LeaderDashboard
from stoker.master.forecasting import Answer
from stoker.master.standby import Standby, StandbyDashboard


class Control:
    """Passes calls to the dashboard of the master's present ``stage``, which is None while the master starts. Thread-safe.
    Every method raises Refused while the master starts, and otherwise the errors of the stage's dashboard."""

    def __init__(self, stage: Callable[[], Standby | MasterDaemon | None]) -> None:
        self._stage = stage

    def snapshot(self) -> ClusterView:
        return self._dashboard().snapshot()

    def history(self) -> Sequence[Sample]:
        return self._dashboard().history()

    def counts(self) -> Counts:
        return self._dashboard().counts()

    def read_log(self, question: ReadLog) -> LogData:
        return self._dashboard().read_log(question)

    def kill(self, job_id: str, by: Asker) -> str:
        return self._dashboard().kill(job_id, by)

    def hold(self, job_id: str, by: Asker, *, hold: bool) -> str:
        return self._dashboard().hold(job_id, by, hold=hold)

    def update(self, job_id: str, change: JobChange, by: Asker) -> str:
        return self._dashboard().update(job_id, change, by)

    def submit(self, driver: DriverDescription, by: Asker) -> str:
        return self._dashboard().submit(driver, by)

    def dry_run(self, driver: DriverDescription, by: Asker) -> DryRunResult:
        return self._dashboard().dry_run(driver, by)

    def what_if(self, wanted: WhatIf, by: Asker) -> tuple[float, Answer]:
        return self._dashboard().what_if(wanted, by)

    def drain(self, worker_id: str, by: Asker, *, drain: bool, reason: str = "", deadline: float = 0.0) -> str:
        return self._dashboard().drain(worker_id, by, drain=drain, reason=reason, deadline=deadline)

    def status(self, job_id: str) -> DriverView | AppView:
        return self._dashboard().status(job_id)

    def kill_drivers(self, by: Asker) -> int:
        return self._dashboard().kill_drivers(by)

    def clear_completed(self) -> None:
        self._dashboard().clear_completed()

    def _dashboard(self) -> LeaderDashboard | StandbyDashboard:
        stage = self._stage()
        if stage is None:
            raise Refused("the master is starting: try again")
        return stage.dashboard
