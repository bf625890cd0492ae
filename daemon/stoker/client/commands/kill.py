"""``stoker kill ID...``: kill drivers and applications, and wait until they have ended (spec 11)."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping

from stoker.client.api import Client
from stoker.client.commands.common import add_connection_arguments, configured, connected
from stoker.client.logs.jobs import WatchedDriver
from stoker.client.notices import say
from stoker.core.model.arrays.ids import tasks_id
from stoker.core.model.messages import Accepted, Failed, GetStatus, KillJob, Message, Status
from stoker.core.model.states import Role
from stoker.core.model.values import APP_ID, DRIVER_ID
from stoker.errors import UsageError

WAIT = 15.0  # seconds; a program has 10 between TERM and KILL
LOOK_AGAIN = 0.1  # seconds between two questions about an application, or several tasks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker kill [OPTIONS] ID..."
    add_connection_arguments(parser)
    parser.add_argument(
        "--no-wait", action="store_true", help="return when the master has accepted the request, before they have ended"
    )
    parser.add_argument(
        "--admin", action="store_true", help="use this machine's admin key, which may kill everybody's jobs"
    )
    parser.add_argument(
        "ids", nargs="+", metavar="ID", help="driver-..., app-..., or tasks of an array: driver-..._17, driver-..._3-9"
    )


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Return 0 when all have ended (with ``--no-wait``: the master has accepted all requests), else 1."""
    if args.ids[0].startswith("spark://") and args.master is None:  # Spark's client: kill MASTER ID (spec 2.3)
        args.master = args.ids.pop(0)
        if not args.ids:
            raise UsageError("nothing to kill: stoker kill [OPTIONS] ID...")
    config = configured(args, environ)
    with connected(args, config, role=Role.ADMIN if args.admin else Role.CLIENT) as client:
        kills = [_Kill(client, job_id) for job_id in dict.fromkeys(args.ids)]
        client.session.wait(lambda: all(kill.answered for kill in kills))
        for kill in kills:
            if kill.refusal:
                say(kill.refusal)
            elif args.no_wait:
                print(kill.text)
        if not args.no_wait:
            _wait(client, kills)
        return 1 if any(kill.refusal for kill in kills) else 0


def _wait(client: Client, kills: list[_Kill]) -> None:
    end = time.monotonic() + WAIT
    going = [kill for kill in kills if not kill.refusal]
    for kill in going:
        kill.look()
    while going and time.monotonic() < end:
        for kill in [kill for kill in going if kill.over]:
            print(f"killed {kill.id}", flush=True)
            going.remove(kill)
        if going:
            due = min(end, *(kill.work() for kill in going))
            client.session.pump(max(0.0, due - time.monotonic()))
    for kill in going:
        kill.refusal = f"{kill.id} has not ended after {WAIT:g} s: see 'stoker status {kill.id}'"
        say(kill.refusal)


class _Kill:
    """One job that is being killed. ``refusal`` says why it is not."""

    def __init__(self, client: Client, job_id: str) -> None:
        self.id = job_id
        self.answered = False
        self.refusal = ""
        self.text = ""
        self._client = client
        self._watched: WatchedDriver | None = None
        self._is_over = False
        self._look_at = math.inf
        if DRIVER_ID.fullmatch(job_id) or APP_ID.fullmatch(job_id) or tasks_id(job_id):
            client.session.ask(KillJob(request=0, id=job_id, door=client.door), self._take)
        else:
            self.answered = True
            self.refusal = (
                f"{job_id!r} is not an id: write it like driver-20260131120000-0000 or app-20260131120000-0000"
            )

    @property
    def over(self) -> bool:
        return self._is_over or (self._watched is not None and self._watched.is_over)

    def look(self) -> None:
        """Start waiting for its end."""
        if DRIVER_ID.fullmatch(self.id):
            self._watched = WatchedDriver(self._client.session, self.id, known=True)
            self._watched.watch()
        else:
            self._look_at = math.inf
            self._client.session.ask(GetStatus(request=0, id=self.id), self._take_status)

    def work(self) -> float:
        if self._watched is not None:
            return self._watched.work()
        if time.monotonic() >= self._look_at:
            self.look()
        return self._look_at

    def _take(self, answer: Message) -> bool:
        if isinstance(answer, Failed) and answer.code == "not-found":
            self._client.session.ask(GetStatus(request=0, id=self.id), self._explain)
            return True
        self.answered = True
        if isinstance(answer, Accepted):
            self.text = answer.text
        else:
            self.refusal = getattr(answer, "reason", "") or f"the master does not understand the request for {self.id}"
        return True

    def _explain(self, answer: Message) -> bool:
        """It cannot be killed: say whether it has ended or is unknown."""
        self.answered = True
        view = (answer.driver or answer.app) if isinstance(answer, Status) else None
        if view is None:
            kind = "driver" if self.id.startswith("driver-") else "application"
            self.refusal = f"there is no {kind} {self.id}: 'stoker status' lists them"
        else:
            self.refusal = f"{self.id} has already finished: it is {view.state.value}"
        return True

    def _take_status(self, answer: Message) -> bool:
        """Take the state of an application, or of tasks ``ID_3-9``."""
        view = (answer.app or answer.driver) if isinstance(answer, Status) else None
        self._is_over = view is None or view.state.is_final
        self._look_at = time.monotonic() + LOOK_AGAIN
        return True
