"""Golden scenarios: stories of a master in text that a reviewer can read (tests/golden/*.txt).

A line at the margin is an event. The indented lines below it are all messages that the master sends because of it, and the
new states of everything that changed. Nothing else may happen. To rewrite the answers after an intended change, run
``GOLDEN=write pytest tests/golden``, and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stoker.core.model.messages import (
    DrainWorkers,
    ForgetWorkers,
    KillJob,
    LaunchDriver,
    LaunchExecutor,
    RegisterApplication,
    SubmitDriver,
    UnregisterApplication,
    WorkerLeaving,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import DriverState, ExecutorState, Role
from stoker.core.model.values import DrainMark, DriverReport, ExecutorReport
from tests.support.core import Bench, application, driver

STORIES = sorted(Path(__file__).parent.glob("*.txt"))
_QUIET = {
    "request",
    "type",
    "epoch",
    "driver",
    "app",
    "memory_mib",
    "text",
    "master_url",
    "heartbeat_interval",
    "version",
}


class Story:
    """Plays one file. Drivers and applications are called ``d0``, ``a0`` ... in the order they came."""

    def __init__(self) -> None:
        self.bench = Bench(policy=Policy(takeover_grace=0.0))
        self.names: dict[str, str] = {}
        self.launched: dict[str, Any] = {}  # 'd0', 'd0#1' (its first attempt) or 'a0/1' -> the (latest) launch command
        self.states: dict[str, str] = {}

    def play(self, line: str) -> list[str]:
        verb, *words = line.split()
        values = dict(word.split("=", 1) for word in words if "=" in word)
        plain = [word for word in words if "=" not in word]
        getattr(self, f"do_{verb}")(plain, values)
        return self.outcome()

    def do_worker(self, plain: list[str], values: dict[str, str]) -> None:
        running = values.get("running", "").split(",") if values.get("running") else []
        reports: dict[str, Any] = {"drivers": [], "executors": []}
        if "heir" in plain:  # its keeper is that of all daemons before it
            reports["heir_of"] = list(self.bench.core.ctx.books.workers)
        for name in running:
            launch = self.launched[name]
            if isinstance(launch, LaunchDriver):
                reports["drivers"].append(
                    DriverReport(
                        driver_id=launch.driver_id,
                        attempt=launch.attempt,
                        state=DriverState.RUNNING,
                        driver=launch.driver,
                        pid=1,
                    )
                )
            else:
                reports["executors"].append(
                    ExecutorReport(
                        app_id=launch.app_id,
                        executor_id=launch.executor_id,
                        cores=launch.cores,
                        memory_mib=launch.memory_mib,
                        state=ExecutorState.RUNNING,
                        app=launch.app,
                        pid=1,
                    )
                )
        number = int(plain[0].strip("w'"))
        again = plain[0].count("'")
        more: dict[str, Any] = {kind: tuple(found) for kind, found in reports.items()}
        self.bench.worker(
            plain[0],
            cores=int(values.get("cores", 4)),
            worker_id=f"worker-2027010100000{again}-h{number}-{4000 + number}",
            drain=DrainMark(draining=True, revision=int(values["drained"])) if "drained" in values else DrainMark(),
            **more,
        )

    def do_submit(self, plain: list[str], values: dict[str, str]) -> None:
        more = {"cores": int(values.get("cores", 1)), "supervise": "supervise" in plain}
        self.bench.send("c1", SubmitDriver(request=1, token=f"t{len(self.names)}", driver=driver(**more)))

    def do_application(self, plain: list[str], values: dict[str, str]) -> None:
        more: dict[str, Any] = {"finite": "finite" in plain}
        if "cores" in values:
            more["max_cores"] = int(values["cores"])
        if "each" in values:
            more["cores_per_executor"] = int(values["each"])
        peer = plain[0]
        again = self._id(values["again"]) if "again" in values else ""
        message = RegisterApplication(
            request=1, token=f"a-{peer.strip(chr(39))}", app=application(**more), app_id=again
        )
        self.bench.send(peer, message)

    def do_unregister(self, plain: list[str], values: dict[str, str]) -> None:
        self.bench.send(plain[0], UnregisterApplication(request=1, app_id=self._id(plain[1])))

    def do_runs(self, plain: list[str], values: dict[str, str]) -> None:
        self._report(plain[0], plain[1], running=True)

    def do_ends(self, plain: list[str], values: dict[str, str]) -> None:
        ends: dict[str, Any] = {name: int(values[name]) for name in ("code", "signal") if name in values}
        self._report(plain[0], plain[1], killed="killed" in plain, **ends)

    def do_kill(self, plain: list[str], values: dict[str, str]) -> None:
        self.bench.send("c1", KillJob(request=1, id=self._id(plain[0])))

    def do_drain(self, plain: list[str], values: dict[str, str]) -> None:
        self.bench.send("c9", DrainWorkers(request=1, workers=tuple(plain), drain=True), role=Role.ADMIN)

    def do_undrain(self, plain: list[str], values: dict[str, str]) -> None:
        self.bench.send("c9", DrainWorkers(request=1, workers=tuple(plain), drain=False), role=Role.ADMIN)

    def do_forget(self, plain: list[str], values: dict[str, str]) -> None:
        self.bench.send("c9", ForgetWorkers(request=1, workers=tuple(plain)), role=Role.ADMIN)

    def do_gone(self, plain: list[str], values: dict[str, str]) -> None:
        self.bench.gone(plain[0])

    def do_leaving(self, plain: list[str], values: dict[str, str]) -> None:
        worker_id = self.bench.core.ctx.books.worker_of_peer[plain[0].encode()]
        self.bench.send(plain[0], WorkerLeaving(worker_id=worker_id, keeping="keeping" in plain))

    def do_wait(self, plain: list[str], values: dict[str, str]) -> None:
        self.bench.live(float(plain[0]))

    def do_restart(self, plain: list[str], values: dict[str, str]) -> None:
        self.bench.restart(keep="records" in plain)

    def _report(self, peer: str, name: str, *, running: bool = False, killed: bool = False, **ends: int) -> None:
        launch = self.launched[name]
        if isinstance(launch, LaunchDriver):
            state = DriverState.RUNNING if running else DriverState.FAILED
            state = DriverState.KILLED if killed else state
            state = DriverState.FINISHED if ends == {"code": 0} else state
            self.bench.driver_is(peer, launch, state, **ends)
        else:
            executor = ExecutorState.RUNNING if running else ExecutorState.EXITED
            self.bench.executor_is(peer, launch, ExecutorState.KILLED if killed else executor, **ends)

    # --- the results ---

    def _id(self, name: str) -> str:
        return next(full for full, short in self.names.items() if short == name)

    def _name(self, full: str) -> str:
        if full not in self.names:
            kind = full[0]
            self.names[full] = f"{kind}{sum(short.startswith(kind) for short in self.names.values())}"
        return self.names[full]

    def outcome(self) -> list[str]:
        lines = []
        for peer in sorted(self.bench.inbox):
            for message in self.bench.inbox[peer]:
                lines.append(f"    -> {peer} {self._told(message)}")
        self.bench.inbox.clear()
        return lines + self._changes()

    def _told(self, message: Any) -> str:
        fields = msgspec.structs.asdict(message)
        if isinstance(message, LaunchDriver):
            name = self._name(message.driver_id)
            self.launched[name] = self.launched[f"{name}#{message.attempt}"] = message
        if isinstance(message, LaunchExecutor):
            self.launched[f"{self._name(message.app_id)}/{message.executor_id}"] = message
        words = [type(message).__name__]
        for name, value in fields.items():
            if name in _QUIET or value in ("", 0, False, ()) or name in ("host", "webui_url"):
                continue
            if name in ("driver_id", "app_id"):
                words.append(self._name(str(value)))
            elif name == "workers":
                words += [worker.host for worker in value]
            elif name == "drain":
                words.append(f"draining={value.draining} revision={value.revision}")
            elif name == "exit":
                words += [f"exit={value.status}"] if value.status is not None else []
            else:
                words.append(f"{name}={getattr(value, 'value', value)}".replace(str(self.bench.core.ctx.url), "URL"))
        return " ".join(words).replace("worker-2027010100000", "worker-")

    def _changes(self) -> list[str]:
        books = self.bench.core.ctx.books
        now: dict[str, str] = {}
        for driver_id in (*books.completed_drivers, *books.drivers):
            found = books.find_driver(driver_id)
            assert found is not None
            now[self._name(driver_id)] = f"{found.record.state.value} attempts={len(found.record.attempts)}"
        for app_id in (*books.completed_apps, *books.apps):
            app = books.find_app(app_id)
            assert app is not None
            now[self._name(app_id)] = f"{app.record.state.value} cores={app.cores_granted}"
        for worker in books.workers.values():
            draining = " draining" if worker.record.drain.draining else ""
            now[worker.record.host] = f"{worker.record.state.value} used={worker.cores_used}{draining}"
        changed = [f"    {name} is {state}" for name, state in now.items() if self.states.get(name) != state]
        gone = [f"    {name} is forgotten" for name in self.states if name not in now]
        self.states = now
        return changed + gone


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path) -> None:
    wanted = path.read_text()
    story, told = Story(), []
    for line in wanted.splitlines():
        if line.startswith("    "):
            continue
        told.append(line)
        if line and not line.startswith("#"):
            told += story.play(line)
    text = "\n".join(told) + "\n"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text)
    assert text == wanted
