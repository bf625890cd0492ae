"""A worker that was taken over: its key is worth one worker. Whatever it reports, nothing happens to jobs that it does
not run.

The master's core, driven through the real codec. w1 is honest, with key "honest"; w2 is hostile, with key "hostile"."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stoker.core.model.messages import (
    DriverStateChanged,
    KillDriver,
    KillExecutor,
    LaunchDriver,
    LaunchExecutor,
    Reconnect,
    RegisteredWorker,
    RegisterWorker,
    RegisterWorkerFailed,
    SubmitDriver,
    WorkerHeartbeat,
)
from stoker.core.model.states import DriverState, ExecutorState, WorkerState
from stoker.core.model.values import DrainMark, DriverReport, ExecutorReport, Exit
from tests.support.core import Bench, application, driver

V = "worker-20270101000000-h1-4001"
H = "worker-20270101000000-h2-4002"


@pytest.fixture
def bench() -> Bench:
    bench = Bench(secret=b"of the masters")
    register(bench, "w1")
    return bench


def register(bench: Bench, peer: str, *, key: str = "", **changes: Any) -> Any:
    """Register a worker, of the hostile one if the peer is w2; the answer."""
    number = peer[1]
    fields = {
        "worker_id": f"worker-20270101000000-h{number}-400{number}", "boot": "b", "host": f"h{number}",
        "port": 4000 + int(number), "cores": 4, "memory_mib": 4096, "highest_epoch": bench.epoch, **changes,
    }  # fmt: skip
    bench.send(peer, RegisterWorker(**fields), key=key or {"1": "honest"}.get(number, "hostile"))
    answers = [
        message
        for message in bench.inbox.get(peer, [])
        if isinstance(message, (RegisteredWorker, RegisterWorkerFailed, Reconnect))
    ]
    bench.inbox[peer] = [message for message in bench.inbox.get(peer, []) if message not in answers]
    return answers[-1]


def running(bench: Bench, **more: Any) -> LaunchDriver:
    """A supervised driver that runs on w1."""
    bench.submit(supervise=True, max_restarts=-1, **more)
    launch = bench.take_all("w1", LaunchDriver)[-1]
    bench.driver_is("w1", launch, DriverState.RUNNING)
    return launch


def report(launch: LaunchDriver, state: DriverState = DriverState.RUNNING, **changes: Any) -> DriverReport:
    fields = {
        "driver_id": launch.driver_id, "attempt": launch.attempt, "state": state, "driver": launch.driver, "pid": 7,
        "principal": launch.principal, "seal": launch.seal, **changes,
    }  # fmt: skip
    return DriverReport(**fields)


def state_of(bench: Bench, driver_id: str) -> tuple[DriverState, str, int]:
    record = bench.core.ctx.books.find_driver(driver_id).record  # type: ignore[union-attr]
    return record.state, record.attempts[-1].worker_id, record.attempt


# --- who it is ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{"worker_id": V}, {"host": "h1", "port": 4001}, {"worker_id": V, "host": "h1", "port": 4001}]
)
@pytest.mark.parametrize("is_away", [False, True])
def test_it_is_not_another_worker(bench: Bench, changes: dict[str, Any], is_away: bool) -> None:
    launch = running(bench)
    if is_away:
        bench.gone("w1")
    before = state_of(bench, launch.driver_id)
    answer = register(bench, "w2", **changes)
    assert isinstance(answer, RegisterWorkerFailed) and "another key" in answer.reason
    assert state_of(bench, launch.driver_id) == before
    assert isinstance(register(bench, "w1", drivers=(report(launch),)), RegisteredWorker)
    assert state_of(bench, launch.driver_id) == (DriverState.RUNNING, V, 1)


def test_a_connection_is_one_worker(bench: Bench) -> None:
    assert isinstance(register(bench, "w2"), RegisteredWorker)
    answer = register(bench, "w2", worker_id="worker-20270101000000-h2-9", port=9)
    assert isinstance(answer, RegisterWorkerFailed)
    assert set(bench.core.ctx.books.workers) == {V, H}


def test_a_restarted_worker_has_a_new_id_and_its_key(bench: Bench) -> None:
    launch = running(bench)
    bench.gone("w1")
    answer = register(bench, "w3", key="honest", host="h1", port=4001, drivers=(report(launch),))
    assert isinstance(answer, RegisteredWorker)
    assert state_of(bench, launch.driver_id)[:2] == (DriverState.RUNNING, answer.worker_id)


def test_the_address_of_a_worker_that_does_not_come_back_is_free(bench: Bench) -> None:
    bench.gone("w1")
    assert isinstance(register(bench, "w2", host="h1", port=4001), RegisterWorkerFailed)
    bench.wait(bench.policy.reconnect_timeout + 120)
    assert isinstance(register(bench, "w2", host="h1", port=4001), RegisteredWorker)


def test_the_id_of_a_dead_worker_stays_its_own(bench: Bench) -> None:
    """Its name in the books, in the history and in links would lead to another machine."""
    own = register(bench, "w2")
    bench.gone("w1")
    bench.gone("w2")
    bench.wait(bench.policy.reconnect_timeout + 5)
    for changes in ({}, {"host": "h1", "port": 4001}, {"seal": own.seal}):
        answer = register(bench, "w2", worker_id=V, **changes)
        assert isinstance(answer, RegisterWorkerFailed) and "another key" in answer.reason
    assert bench.core.ctx.books.workers[V].record.key == "honest"
    assert isinstance(register(bench, "w1"), RegisteredWorker)


def test_who_had_the_address_of_a_dead_worker_does_not_leave_a_drain_mark(bench: Bench) -> None:
    bench.gone("w1")
    bench.wait(bench.policy.reconnect_timeout + 120)
    mark = DrainMark(draining=True, revision=2**30)
    assert isinstance(register(bench, "w2", host="h1", port=4001, drain=mark), RegisteredWorker)
    bench.gone("w2")
    bench.live(bench.policy.reconnect_timeout + 1)
    register(bench, "w1")
    assert not bench.core.ctx.books.workers[V].record.drain.draining


def test_it_does_not_keep_an_absent_worker_alive(bench: Bench) -> None:
    launch = running(bench)
    bench.gone("w1")
    register(bench, "w2")
    for _ in range(int(bench.policy.reconnect_timeout) + 100):
        bench.send("w2", WorkerHeartbeat(worker_id=V), key="hostile")
        bench.send("w2", WorkerHeartbeat(worker_id=H), key="hostile")
        bench.wait(1.0)
    assert bench.take_all("w2", LaunchDriver)[-1].driver_id == launch.driver_id, "it was given up, and runs elsewhere"


def test_it_does_not_make_two_masters_of_one(bench: Bench) -> None:
    answer = register(bench, "w2", highest_epoch=2**62)
    assert isinstance(answer, RegisterWorkerFailed)
    assert isinstance(register(bench, "w2", worker_id=V, highest_epoch=2**62), RegisterWorkerFailed)
    assert bench.core.ctx.books.workers[V].record.state is WorkerState.ALIVE


# --- the jobs of others --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [DriverState.RUNNING, DriverState.FINISHED, DriverState.FAILED, DriverState.ERROR])
@pytest.mark.parametrize("attempt", [1, 2, 2**31 - 1])
@pytest.mark.parametrize("is_away", [False, True])
def test_it_reports_nothing_of_anothers_driver(bench: Bench, state: DriverState, attempt: int, is_away: bool) -> None:
    launch = running(bench)
    if is_away:
        bench.gone("w1")
    before = state_of(bench, launch.driver_id)
    for exit in (Exit(), Exit(refused=True, reason="full")):
        lie = report(launch, state, attempt=attempt, exit=exit, seal="0" * 64)
        register(bench, "w2", drivers=(lie,))
        change = DriverStateChanged(worker_id=H, driver_id=launch.driver_id, attempt=attempt, state=state, exit=exit)
        bench.send("w2", change, key="hostile")
        bench.send("w2", msgspec.structs.replace(change, worker_id=V), key="hostile")
        assert state_of(bench, launch.driver_id) == before
    assert bench.take_all("w1", KillDriver) == []


def test_it_does_not_end_what_was_given_up(bench: Bench) -> None:
    """An end that a worker knows is booked late, but only if it comes from the worker that had the driver."""
    bench.submit(supervise=False)
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.driver_is("w1", launch, DriverState.RUNNING)
    bench.gone("w1")
    bench.wait(bench.policy.reconnect_timeout + 100)
    assert state_of(bench, launch.driver_id)[0] is DriverState.ERROR
    register(bench, "w2", host="h1", drivers=(report(launch, DriverState.FINISHED, exit=Exit(code=0), seal=""),))
    assert state_of(bench, launch.driver_id)[0] is DriverState.ERROR


@pytest.mark.parametrize("state", [ExecutorState.RUNNING, ExecutorState.EXITED, ExecutorState.FAILED])
@pytest.mark.parametrize("number", [0, 1, 2**30 - 1])
def test_it_reports_nothing_of_anothers_executor(bench: Bench, state: ExecutorState, number: int) -> None:
    app_id = bench.application("c1", max_cores=4)
    launch = bench.take_all("w1", LaunchExecutor)[0]
    lie = ExecutorReport(
        app_id=app_id, executor_id=number, cores=launch.cores, memory_mib=launch.memory_mib, state=state,
        app=launch.app, pid=7, principal="mallory",
    )  # fmt: skip
    register(bench, "w2", executors=(lie,))
    app = bench.core.ctx.books.apps[app_id]
    assert [(one.id, one.worker_id) for one in app.executors.values()] == [(0, V)]
    assert (app.record.next_executor_id, app.record.principal, list(app.removed)) == (1, "k1", [])
    if state is ExecutorState.RUNNING:
        assert bench.take_all("w2", KillExecutor)[0].executor_id == number


# --- after a master without records --------------------------------------------------------------------------------------

INVENTED = LaunchDriver(
    epoch=1,
    driver_id="driver-20270101000000-0005",
    attempt=1,
    driver=driver(supervise=True, max_restarts=-1),
    principal="ada",
)


def is_launched_anywhere(bench: Bench, driver_id: str) -> bool:
    return any(launch.driver_id == driver_id for peer in ("w1", "w2") for launch in bench.take_all(peer, LaunchDriver))


@pytest.mark.parametrize("exit", [Exit(), Exit(code=1), Exit(refused=True, reason="full")])
@pytest.mark.parametrize("state", [DriverState.RUNNING, DriverState.FAILED, DriverState.ERROR])
def test_an_invented_driver_runs_nowhere(bench: Bench, state: DriverState, exit: Exit) -> None:
    """Otherwise the driver would be restarted on other machines: code execution everywhere."""
    bench.restart(keep=False)
    register(bench, "w1")
    register(bench, "w2", drivers=(report(INVENTED, state, exit=exit),))
    bench.send(
        "w2",
        DriverStateChanged(
            worker_id=H, driver_id=INVENTED.driver_id, attempt=1, state=DriverState.FAILED, exit=Exit(code=1)
        ),
        key="hostile",
    )
    bench.gone("w2")
    bench.live(200.0)
    assert not is_launched_anywhere(bench, INVENTED.driver_id)
    known = bench.core.ctx.books.find_driver(INVENTED.driver_id)
    assert known is None or known.record.principal is None, "nobody but an admin has a driver without a seal"


@pytest.mark.parametrize(
    "change",
    [
        {"principal": "mallory"},
        {"driver": driver(supervise=True, max_restarts=-1, env={"X": "1"})},
        {"attempt": 2},
        {"driver_id": "driver-20270101000000-0009"},
    ],
)
def test_a_seal_is_worth_what_was_launched(bench: Bench, change: dict[str, Any]) -> None:
    launch = running(bench)
    bench.restart(keep=False)
    told = report(launch, **change)
    register(bench, "w2")
    register(bench, "w1", drivers=(told,))
    bench.gone("w1")
    bench.wait(bench.policy.reconnect_timeout + 100)
    assert not is_launched_anywhere(bench, told.driver_id)


def test_a_driver_with_its_seal_goes_on_supervised_and_with_its_owner(bench: Bench) -> None:
    launch = running(bench)
    bench.restart(keep=False)
    register(bench, "w1", drivers=(report(launch),))
    record = bench.core.ctx.books.drivers[launch.driver_id].record
    assert (record.principal, record.description.supervise) == ("k1", True)
    bench.driver_is("w1", launch, DriverState.FAILED, code=1)
    bench.live(10.0)
    assert is_launched_anywhere(bench, launch.driver_id)


def test_jobs_are_taken_over_for_a_short_time(bench: Bench) -> None:
    launch = running(bench)
    bench.restart(keep=False)
    bench.wait(200.0)
    register(bench, "w1", drivers=(report(launch),))
    assert bench.core.ctx.books.find_driver(launch.driver_id) is None
    assert bench.take_all("w1", KillDriver)[0].driver_id == launch.driver_id


def test_an_invented_executor_makes_no_application(bench: Bench) -> None:
    bench.restart(keep=False)
    lie = ExecutorReport(
        app_id="app-20270101000000-0001", executor_id=2**30 - 1, cores=1, memory_mib=1, state=ExecutorState.RUNNING,
        app=application(), pid=7, principal="mallory",
    )  # fmt: skip
    register(bench, "w2", executors=(lie,))
    books = bench.core.ctx.books
    assert (books.apps, books.next_executor_ids) == ({}, {})
    assert bench.take_all("w2", KillExecutor)


def test_the_worker_keeps_and_reports_the_seal(bench: Bench) -> None:
    from stoker.core.worker.jobs import DriverJob, ExecutorJob
    from stoker.worker.keeper import notes

    launch = running(bench)
    assert launch.seal
    job = DriverJob.ordered(launch, 1.0)
    kept = {"key": job.key, "note": notes.encode(job), "pid": 7, "started": 1.0, "exit": None}
    again = notes.decode(kept)  # type: ignore[arg-type]
    assert again is not None and again.report().seal == job.report().seal == launch.seal
    bench.application("c1", max_cores=1)
    executor = bench.take_all("w1", LaunchExecutor)[0]
    kept["note"] = notes.encode(ExecutorJob.ordered(executor, 1.0))
    again = notes.decode(kept)  # type: ignore[arg-type]
    assert again is not None and again.report().seal == executor.seal != ""


def test_sealed_descriptions_survive_the_codec(bench: Bench) -> None:
    """The worker decodes and encodes what was sealed; any order of variables must stay."""
    env = {name: name for name in ("Z", "A", "ü", "M")}
    bench.send("c1", SubmitDriver(request=1, token="x", driver=driver(supervise=True, env=env)))
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.restart(keep=False)
    register(bench, "w1", drivers=(report(launch),))
    assert bench.core.ctx.books.drivers[launch.driver_id].record.principal == "k1"


# --- found by the simulator's hostile worker --------------------------------------------------------------------------------


def test_it_does_not_stop_the_master_by_epochs_that_go_up_and_down(bench: Bench) -> None:
    bench.restart(keep=False)
    for epoch in (bench.epoch, bench.epoch + 1, bench.epoch, bench.epoch + 1, bench.epoch):
        drivers = (report(INVENTED),) if epoch == bench.epoch else ()
        register(bench, "w2", highest_epoch=epoch, drivers=drivers if bench.core.ctx.books.drivers == {} else ())
    register(bench, "w1")


@pytest.mark.parametrize("refuses", [False, True])
def test_an_invented_driver_is_not_started_elsewhere_when_it_is_no_longer_reported(bench: Bench, refuses: bool) -> None:
    bench.restart(keep=False)
    register(bench, "w1")
    register(bench, "w2", drivers=(report(INVENTED),))
    refusal = report(INVENTED, DriverState.ERROR, exit=Exit(reason="no room", refused=True))
    register(bench, "w2", drivers=(refusal,) if refuses else ())
    bench.gone("w2")
    register(bench, "w3", key="hostile", host="h2", port=4002, worker_id=H, drivers=(), heir_of=(H,))
    bench.live(200.0)
    assert not is_launched_anywhere(bench, INVENTED.driver_id)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("attempt", [1, 5])
def test_a_report_with_a_seal_counts_against_an_earlier_claim(bench: Bench, attempt: int, ends: bool) -> None:
    launch = running(bench)
    bench.restart(keep=False)
    claim = report(launch, seal="", attempt=attempt, principal="mallory")
    register(bench, "w2", drivers=(claim,))
    if ends:
        end = DriverStateChanged(worker_id=H, driver_id=claim.driver_id, attempt=attempt, state=DriverState.FINISHED)
        bench.send("w2", end, key="hostile")
    register(bench, "w1", drivers=(report(launch),))
    assert state_of(bench, launch.driver_id) == (DriverState.RUNNING, V, launch.attempt)
    assert bench.core.ctx.books.drivers[launch.driver_id].record.principal == launch.principal
    assert not bench.take_all("w1", KillDriver)


def test_it_does_not_lock_a_worker_out_once_it_is_gone(bench: Bench) -> None:
    seal = register(bench, "w1").seal
    bench.restart(keep=False)
    theirs = register(bench, "w2", worker_id=V).seal
    bench.gone("w2")
    bench.live(bench.policy.reconnect_timeout + 1)
    for stolen in ("", theirs, "0" * 64):
        assert isinstance(register(bench, "w1", seal=stolen), RegisterWorkerFailed), "no proof that it had this id"
    assert isinstance(register(bench, "w1", seal=seal), RegisteredWorker)
