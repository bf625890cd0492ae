"""A master that does not lead: it answers every request with "not the leader, ask H:P", and remembers who asked."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from stoker.core.model.changes import JobChange, WhatIf
from stoker.core.model.counts import Counts, Tally
from stoker.core.model.messages import DryRunResult, Failed, LogData, ReadLog, RegisterApplication, RegisterWorker
from stoker.core.model.principal import Asker
from stoker.core.model.states import MasterState
from stoker.core.model.values import DriverDescription
from stoker.core.model.views import AppView, ClusterView, DriverView, Sample
from stoker.errors import NotFound, ProtocolError, Refused
from stoker.io.loop import Loop
from stoker.io.peer_log import PeerLog, name_of
from stoker.io.sockets import Incoming, PeerGone, Server
from stoker.leader.base import Elected, Follow, LeadershipEvent, Revoked, Roster
from stoker.master.forecasting import Answer
from stoker.version import RELEASE

LOG = logging.getLogger("stoker.master")
PEERS = PeerLog(LOG)
LOOK_EVERY = 60.0  # seconds; everything that matters wakes the loop


class Standby:
    """Serves until this master is elected. ``news`` yields the election's events; ``run`` takes them up to and including
    ``Elected``. ``on_serving`` is called with a description of the standby's work each time that changes."""

    def __init__(
        self,
        *,
        loop: Loop,
        server: Server,
        news: deque[LeadershipEvent],
        url: str,
        webui_url: str,
        on_serving: Callable[[str], None],
        tally: Tally | None = None,
    ) -> None:
        self.loop = loop
        self.url = url
        self.waiting: dict[bytes, None] = {}  # connections of workers and applications that want to register
        self._server = server
        self._news = news
        self._webui_url = webui_url
        self._on_serving = on_serving
        self._elected: Elected | None = None
        self._following = Follow(None, "no election yet")
        self.roster: Roster = Roster(())
        self.dashboard: StandbyDashboard = StandbyDashboard(self.view, tally)

    def run(self) -> Elected | None:
        """Serve until this master is elected; return None when it must stop, or must stand for election again."""
        self.loop.run(self._round)
        return self._elected

    def _round(self) -> float:
        while self._news and self._elected is None:
            self._take(self._news.popleft())
        if self._elected is None:
            for event in self._server.drain():
                if isinstance(event, Incoming):
                    self._answer(event)
                elif isinstance(event, PeerGone):
                    self.waiting.pop(event.peer, None)
        return min(time.monotonic() + LOOK_EVERY, self._server.look_by)

    def _take(self, event: LeadershipEvent) -> None:
        if isinstance(event, Elected):
            self._elected = event
            self.loop.stop()
        elif isinstance(event, Revoked):
            self.loop.stop()
        elif isinstance(event, Roster):
            self.roster = event
        elif isinstance(event, Follow):
            self._following = event
            LOG.info("standby: %s", self._words())
            self._on_serving(f"standby: {self._words()}")

    def _words(self) -> str:
        leader = self._following.leader
        return f"the leader is {leader.address}" if leader is not None else f"no leader yet: {self._following.reason}"

    def _answer(self, event: Incoming) -> None:
        message = event.message
        if isinstance(message, (RegisterWorker, RegisterApplication)):
            self.waiting[event.peer] = None
        request = getattr(message, "request", 0 if isinstance(message, RegisterWorker) else None)
        if request is None:
            return
        leader = self._following.leader
        reason = f"master {self.url.removeprefix('spark://')} is a standby, {self._words()}"
        address = leader.address if leader is not None else ""
        try:
            self._server.send(event.peer, Failed(request=request, reason=reason, code="not-leader", leader=address))
        except ProtocolError as error:
            PEERS.warning(name_of(event.peer), "answer", f"cannot answer {event.peer!r}: {error}")

    def view(self) -> ClusterView:
        """Return a view for status commands and pages. Thread-safe."""
        leader = self._following.leader
        return ClusterView(
            url=self.url,
            state=MasterState.STANDBY,
            epoch=0,
            version=RELEASE,
            webui_url=self._webui_url,
            leader_url=f"spark://{leader.address}" if leader is not None else "",
            leader_webui_url=leader.webui_url if leader is not None else "",
            warnings=() if leader is not None else (self._words(),),
            dashboards=self.roster.dashboards,
        )


class StandbyDashboard:
    """A standby's pages: they link to the leader's, and reject every change."""

    def __init__(self, view: Callable[[], ClusterView], tally: Tally | None = None) -> None:
        self.snapshot = view
        self._tally = tally or Tally()  # nothing changes it while this master does not lead

    def counts(self) -> Counts:
        return self._tally.copy()

    def history(self) -> tuple[Sample, ...]:
        return ()

    def read_log(self, question: ReadLog) -> LogData:
        return LogData(request=question.request, error="this master is a standby: ask the leader")

    def kill(self, job_id: str, by: Asker) -> str:
        """Raises NotFound: a standby knows no jobs."""
        raise NotFound(f"this master is a standby: ask the leader to kill {job_id}")

    def hold(self, job_id: str, by: Asker, *, hold: bool) -> str:
        """Raises NotFound, as ``kill``."""
        raise NotFound(f"this master is a standby: ask the leader to {'hold' if hold else 'release'} {job_id}")

    def update(self, job_id: str, change: JobChange, by: Asker) -> str:
        """Raises NotFound, as ``kill``."""
        raise NotFound(f"this master is a standby: ask the leader to change {job_id}")

    def submit(self, driver: DriverDescription, by: Asker) -> str:
        """Raises Refused, in the words by which Spark's clients know that they should ask the next master."""
        raise Refused("Current state is not alive: STANDBY. Can only accept driver submissions in ALIVE state.")

    def dry_run(self, driver: DriverDescription, by: Asker) -> DryRunResult:
        """Raises Refused, as ``submit``."""
        raise Refused("Current state is not alive: STANDBY. Can only place jobs in ALIVE state.")

    def what_if(self, wanted: WhatIf, by: Asker) -> tuple[float, Answer]:
        """Raises Refused, as ``submit``."""
        raise Refused("Current state is not alive: STANDBY. Can only make forecasts in ALIVE state.")

    def drain(self, worker_id: str, by: Asker, *, drain: bool, reason: str = "", deadline: float = 0.0) -> str:
        """Raises NotFound, as ``kill``."""
        raise NotFound(f"this master is a standby: ask the leader to {'drain' if drain else 'undrain'} {worker_id}")

    def status(self, job_id: str) -> DriverView | AppView:
        """Raises Refused, as ``submit``."""
        raise Refused("Current state is not alive: STANDBY. Can only request driver status in ALIVE state.")

    def kill_drivers(self, by: Asker) -> int:
        """Raises Refused, as ``submit``."""
        raise Refused("Current state is not alive: STANDBY. Can only kill drivers in ALIVE state.")

    def clear_completed(self) -> None:
        """Raises Refused, as ``submit``."""
        raise Refused("Current state is not alive: STANDBY. Can only clear drivers in ALIVE state.")
