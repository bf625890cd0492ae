"""Jobs in the worker's core: launched, run, refused, killed, reported (spec 11)."""

from __future__ import annotations

from stoker.core.model.messages import (
    DriverStateAck,
    DriverStateChanged,
    ExecutorStateChanged,
    KillDriver,
    LaunchExecutor,
    RegisteredWorker,
    RegisterWorker,
)
from stoker.core.model.states import DriverState, ExecutorState, JobPhase
from stoker.core.model.values import Exit
from stoker.core.worker import effects
from stoker.core.worker.jobs import REPORT_AGAIN, DriverJob
from tests.support.core import application, driver
from tests.unit.core.worker.bench import APP, D1, A, WorkerBench

GIB = 1 << 30


def test_driver_from_launch_to_acknowledgement(bench: WorkerBench) -> None:
    key = bench.run()
    assert bench.core.used.cores == 1
    bench.ends(key, code=3)
    (report,) = bench.sent(DriverStateChanged)
    assert (report.state, report.exit.code, report.attempt) == (DriverState.FAILED, 3, 1)
    assert bench.core.used.cores == 0
    bench.say(DriverStateAck(epoch=5, driver_id=D1, attempt=1))
    assert [effect.key for effect in bench.did(effects.ForgetJob)] == [key]
    assert bench.core.jobs == {}


def test_final_report_is_repeated_until_acknowledged(bench: WorkerBench) -> None:
    bench.ends(bench.run(), code=0)
    assert len(bench.sent(DriverStateChanged)) == 1
    for _ in range(3):
        bench.tick(REPORT_AGAIN)
        assert len(bench.sent(DriverStateChanged)) == 1


def test_over_commitment_is_refused_and_answered(bench: WorkerBench) -> None:
    bench.launch(cores=5)
    (report,) = bench.sent(DriverStateChanged)
    assert report.state is DriverState.ERROR and "not free on this worker" in report.exit.reason
    bench.say(LaunchExecutor(epoch=5, app_id=APP, executor_id=0, cores=1, memory_mib=99999, app=application()))
    assert [report.state for report in bench.sent(ExecutorStateChanged)] == [ExecutorState.FAILED]
    assert bench.did(effects.Prepare) == []


def test_repeated_launch_is_answered_with_the_state(bench: WorkerBench) -> None:
    bench.run()
    bench.launch()
    assert [report.state for report in bench.sent(DriverStateChanged)] == [DriverState.RUNNING]
    assert bench.did(effects.Prepare) == []


def test_kill_hits_its_attempt_only(bench: WorkerBench) -> None:
    key = bench.run(attempt=2)
    bench.say(KillDriver(epoch=5, driver_id=D1, attempt=1))
    (answer,) = bench.sent(DriverStateChanged)
    assert (answer.attempt, answer.state) == (1, DriverState.KILLED) and bench.did(effects.StopJob) == []
    bench.say(KillDriver(epoch=5, driver_id=D1, attempt=2))
    assert [(effect.key, effect.grace) for effect in bench.did(effects.StopJob)] == [(key, 10.0)]
    bench.ends(key, signal=15)
    assert [report.state for report in bench.sent(DriverStateChanged)] == [DriverState.KILLED]


def test_kill_while_preparing_is_done_at_once(bench: WorkerBench) -> None:
    key = bench.launch()
    bench.did(effects.Prepare)
    bench.say(KillDriver(epoch=5, driver_id=D1, attempt=1))
    assert [effect.key for effect in bench.did(effects.CancelPrepare)] == [key]
    assert [report.state for report in bench.sent(DriverStateChanged)] == [DriverState.KILLED]
    bench.core.prepared(key, bench.now)
    bench.collect()
    assert bench.did(effects.SpawnJob) == []


def test_kill_while_starting_stops_it_once_it_runs(bench: WorkerBench) -> None:
    key = bench.launch()
    bench.core.prepared(key, bench.now)
    bench.say(KillDriver(epoch=5, driver_id=D1, attempt=1))
    bench.did(effects.Prepare), bench.did(effects.SpawnJob)
    assert bench.did(effects.StopJob) == []
    bench.core.started(key, 42, bench.now)
    bench.collect()
    assert [effect.key for effect in bench.did(effects.StopJob)] == [key]


def test_older_attempt_is_ended_before_a_newer_may_run(bench: WorkerBench) -> None:
    old = bench.run(attempt=1)
    bench.launch(attempt=2)
    assert [effect.key for effect in bench.did(effects.StopJob)] == [old]
    assert bench.did(effects.Prepare) == []
    (report,) = bench.sent(DriverStateChanged)
    assert (report.attempt, report.state) == (2, DriverState.ERROR)


def test_lower_attempt_is_refused(bench: WorkerBench) -> None:
    bench.run(attempt=3)
    bench.launch(attempt=2)
    (report,) = bench.sent(DriverStateChanged)
    assert (report.attempt, report.state) == (2, DriverState.ERROR) and bench.did(effects.StopJob) == []


def test_failures_to_prepare_and_to_start_are_errors(bench: WorkerBench) -> None:
    key = bench.launch()
    bench.core.could_not_prepare(key, Exit(reason="no disk"), bench.now)
    bench.collect()
    assert [(r.state, r.exit.reason) for r in bench.sent(DriverStateChanged)] == [(DriverState.ERROR, "no disk")]
    bench.say(LaunchExecutor(epoch=5, app_id=APP, executor_id=0, cores=1, memory_mib=1, app=application()))
    bench.core.prepared(f"{APP}/0", bench.now)
    bench.core.could_not_start(f"{APP}/0", Exit(code=127), bench.now)
    bench.collect()
    assert [(r.state, r.exit.code) for r in bench.sent(ExecutorStateChanged)] == [(ExecutorState.FAILED, 127)]


def test_adopted_process_is_reported_and_ends_normally() -> None:
    bench = WorkerBench()
    job = DriverJob(
        key=f"{D1}:1", cores=1, memory_mib=1, driver_id=D1, attempt=1, driver=driver(), phase=JobPhase.RUNNING, pid=7
    )
    bench.core.adopt(job, bench.now)
    bench.tick()
    bench.core.link_opened(A, bench.now)
    bench.collect()
    (message,) = bench.sent(RegisterWorker)
    assert [(report.driver_id, report.pid) for report in message.drivers] == [(D1, 7)]
    bench.say(RegisteredWorker(epoch=5, worker_id="w", master_url="spark://a"))
    bench.ends(job.key, code=0)
    assert [report.state for report in bench.sent(DriverStateChanged)] == [DriverState.FINISHED]


def test_lost_keeper_fails_what_ran(bench: WorkerBench) -> None:
    bench.run()
    bench.core.keeper_lost(bench.now)
    bench.collect()
    assert bench.sent(DriverStateChanged) == [], "the next keeper has not ended it yet"
    bench.core.keeper_back(bench.now)
    bench.collect()
    (report,) = bench.sent(DriverStateChanged)
    assert report.state is DriverState.FAILED and "keeper" in report.exit.reason


def test_job_that_had_not_gone_to_the_lost_keeper_goes_to_the_next(bench: WorkerBench) -> None:
    key = bench.launch()
    bench.core.prepared(key, bench.now)
    bench.core.keeper_lost(bench.now)
    bench.core.keeper_back(bench.now)
    bench.collect()
    assert [effect.job.key for effect in bench.did(effects.SpawnJob)] == [key]
    assert bench.sent(DriverStateChanged) == []


def test_process_that_starts_after_it_was_given_up_is_ended(bench: WorkerBench) -> None:
    key = bench.launch()
    bench.core.prepared(key, bench.now)
    bench.collect()
    bench.core.keeper_lost(bench.now)
    bench.core.keeper_back(bench.now)
    bench.core.started(key, 7, bench.now)
    bench.collect()
    assert [effect.key for effect in bench.did(effects.StopJob)] == [key]


def test_job_whose_keeper_knows_no_time_limits_is_stopped_by_the_daemon(bench: WorkerBench) -> None:
    key = bench.run(time_limit=60.0, supervise=True)
    bench.tick(64.0)
    assert not bench.did(effects.StopJob)
    assert bench.core.next_deadline() <= bench.mono + 1.0
    bench.tick(1.0)
    assert [effect.key for effect in bench.did(effects.StopJob)] == [key]
    bench.tick(1.0)
    assert not bench.did(effects.StopJob)
    bench.ends(key, code=0, reason="Command exited with code 0")
    (report,) = bench.sent(DriverStateChanged)
    assert (report.state, report.exit.reason, report.exit.expired) == (DriverState.FAILED, "time limit of 1 min", True)


def test_end_at_the_keepers_limit_is_reported_with_its_reason(bench: WorkerBench) -> None:
    key = bench.run(time_limit=7200.0)
    bench.ends(key, signal=15, expired=True)
    (report,) = bench.sent(DriverStateChanged)
    assert (report.state, report.exit.status, report.exit.reason) == (DriverState.FAILED, 124, "time limit of 2 h")


def test_job_that_takes_too_much_disk_is_stopped_once_and_told_so(bench: WorkerBench) -> None:
    key = bench.run(max_disk_mib=20 * 1024)
    bench.core.disk_used(key, 20 * GIB, bench.now)
    bench.collect()
    assert not bench.did(effects.StopJob)
    for used in (int(20.1 * GIB), 30 * GIB):
        bench.core.disk_used(key, used, bench.now)
    bench.collect()
    assert [effect.key for effect in bench.did(effects.StopJob)] == [key]
    bench.ends(key, code=0, reason="Command exited with code 0")
    (report,) = bench.sent(DriverStateChanged)
    assert (report.state, report.exit.reason) == (DriverState.FAILED, "used 20.1 of 20 GiB of disk")
    assert report.exit.over_disk and report.exit.status == 153 and not report.exit.is_success


def test_disk_of_other_jobs_does_not_matter(bench: WorkerBench) -> None:
    key = bench.run()
    for other in (key, "gone:1"):
        bench.core.disk_used(other, 30 * GIB, bench.now)
    bench.collect()
    assert not bench.did(effects.StopJob)


def test_killed_job_stays_killed_however_much_disk_it_takes(bench: WorkerBench) -> None:
    key = bench.run(max_disk_mib=1)
    bench.say(KillDriver(epoch=5, driver_id=D1, attempt=1))
    bench.did(effects.StopJob)
    bench.core.disk_used(key, 30 * GIB, bench.now)
    bench.collect()
    assert not bench.did(effects.StopJob)
    bench.ends(key, signal=15)
    (report,) = bench.sent(DriverStateChanged)
    assert (report.state, report.exit.over_disk) == (DriverState.KILLED, False)
