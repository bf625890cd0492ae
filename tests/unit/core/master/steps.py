"""What several tests begin with: registered workers, a running driver or application, and the state of either."""

from __future__ import annotations

from typing import Any

from stoker.core.model.messages import (
    ExecutorAdded,
    ExecutorUpdated,
    LaunchDriver,
    LaunchExecutor,
    RegisteredWorker,
)
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState
from stoker.core.model.values import ExecutorReport
from tests.support.core import Bench


def register_workers(bench: Bench, count: int, cores: int = 4, memory: int = 4096) -> None:
    for number in range(1, count + 1):
        bench.worker(f"w{number}", cores=cores, memory=memory)
        bench.take(f"w{number}", RegisteredWorker)


def launches(bench: Bench) -> list[LaunchExecutor]:
    return [launch for peer in sorted(bench.inbox) for launch in bench.take_all(peer, LaunchExecutor)]


def app_state(bench: Bench, app_id: str) -> ApplicationState:
    found = bench.core.ctx.books.find_app(app_id)
    assert found is not None
    return found.record.state


def running_application(bench: Bench, **more: Any) -> tuple[str, LaunchExecutor]:
    register_workers(bench, 1)
    app_id = bench.application(**more)
    launch = bench.take("w1", LaunchExecutor)
    bench.take("c1", ExecutorAdded)
    bench.executor_is("w1", launch, ExecutorState.RUNNING)
    assert bench.take("c1", ExecutorUpdated).state is ExecutorState.RUNNING
    bench.nothing_else()
    return app_id, launch


def executor_report(launch: LaunchExecutor, state: ExecutorState = ExecutorState.RUNNING) -> ExecutorReport:
    return ExecutorReport(
        app_id=launch.app_id,
        executor_id=launch.executor_id,
        cores=launch.cores,
        memory_mib=launch.memory_mib,
        state=state,
        app=launch.app,
        pid=100,
    )


def driver_state(bench: Bench, driver_id: str) -> DriverState:
    found = bench.core.ctx.books.find_driver(driver_id)
    assert found is not None
    return found.record.state


def running_driver(bench: Bench, **more: Any) -> tuple[str, LaunchDriver]:
    """A driver that runs on worker w1."""
    bench.worker("w1")
    bench.take("w1", RegisteredWorker)
    driver_id = bench.submit(**more)
    launch = bench.take("w1", LaunchDriver)
    bench.driver_is("w1", launch, DriverState.RUNNING)
    bench.nothing_else()
    return driver_id, launch
