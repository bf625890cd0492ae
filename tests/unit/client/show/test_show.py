"""Status for people: bounded, aligned, harmless; and for scripts: complete."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from stoker.client.show import cluster as render
from stoker.client.show import job as render_job
from stoker.client.show import table
from stoker.client.show.as_json import as_json
from stoker.core.model.pools import Pool
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, MasterState, WorkerState
from stoker.core.model.values import Exit
from stoker.core.model.views import AppView, AttemptView, ClusterView, DriverView, ExecutorView, PoolView, WorkerView


def driver(number: int, state: DriverState = DriverState.SUBMITTED, **more: object) -> DriverView:
    values: dict[str, object] = {"cores": 1, "memory_mib": 1024, "name": "job", "main": "job.py", **more}
    return DriverView(id=f"driver-20260101000000-{number:04}", state=state, submitted=1e9 + number, **values)  # type: ignore[arg-type]


def worker(number: int, state: WorkerState = WorkerState.ALIVE, **more: int) -> WorkerView:
    values: dict[str, Any] = {"cores": 4, "cores_used": 0, "memory_mib": 4096, "memory_used_mib": 0, **more}
    return WorkerView(id=f"worker-20260101000000-h{number}-1", host=f"h{number}", port=1, state=state, **values)


def cluster(**more: object) -> ClusterView:
    return ClusterView(url="spark://h:7077", state=MasterState.ALIVE, epoch=1, version="1", **more)  # type: ignore[arg-type]


def test_long_tables_are_cut_and_say_so() -> None:
    view = cluster(active_drivers=tuple(driver(number) for number in range(80)))
    shown = render.cluster(view)
    assert shown.count("driver-2026") == 50
    assert "Waiting (80)" in shown
    assert "... and 30 more (--all)" in shown
    everything = render.cluster(view, all_rows=True)
    assert everything.count("driver-2026") == 80
    assert "more (--all)" not in everything


def test_what_waits_is_listed_with_the_reason_and_what_would_help() -> None:
    app = AppView(
        id="app-20260101000000-0001",
        name="etl",
        user="u",
        state=ApplicationState.WAITING,
        submitted=1e9,
        memory_mib=9999,
    )
    view = cluster(
        workers=(worker(1, cores_used=2),),
        active_drivers=(driver(1, cores=3), driver(2, DriverState.RUNNING)),
        active_apps=(app,),
    )
    before, _, waiting = render.cluster(view).partition("Waiting (2)")
    assert "Drivers (1)" in before
    assert "Running applications" not in before, "the only one waits"
    assert "needs 3 cores and 1024 MiB on one worker, the largest has 2 cores free; would help: 2 cores" in waiting
    assert "no worker is that large" in waiting
    assert "Pool" not in waiting


def test_pools_are_a_column_where_there_are_several() -> None:
    pools = tuple(PoolView(name=name, settings=Pool(name=name)) for name in ("etl", "default"))
    view = cluster(active_drivers=(driver(1, pool="etl", priority=3), driver(2)), pools=pools)
    waiting = render.cluster(view).partition("Waiting (2)")[2]
    assert "etl, priority 3" in waiting
    assert "default" in waiting
    assert "etl, priority 3" in render_job.driver(driver(1, pool="etl", priority=3))


def test_the_summary_counts_live_workers_only() -> None:
    view = cluster(workers=(worker(1, cores_used=1), worker(2, WorkerState.DEAD), worker(3)), warnings=("open to all",))
    shown = render.cluster(view)
    assert "2 alive, 1 dead" in shown
    assert "8 (1 used)" in shown
    assert "warning: open to all" in shown


def test_names_cannot_command_the_terminal() -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07\nnext\u202e"
    shown = render.cluster(cluster(active_drivers=(driver(1, name=hostile, user=hostile),)))
    shown += render_job.driver(driver(1, name=hostile, reason=hostile, args=(hostile,), main="job.py"))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert "next" in shown


def test_colours_only_where_they_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert table.state("DEAD") == "DEAD"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert table.state("DEAD") == "\x1b[31mDEAD\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert table.state("DEAD") == "DEAD"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (200_000, "2 d 7 h")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert table.duration(seconds) == shown


def test_a_driver_in_full() -> None:
    attempt = AttemptView(
        number=1, worker_id="w1", state=DriverState.FAILED, started=1e9, ended=1e9 + 5, pid=42,
        exit=Exit(signal=9, reason="out of memory"),
    )  # fmt: skip
    view = driver(1, DriverState.FAILED, reason="out of memory", attempts=(attempt,), supervise=True, args=("a b",))
    shown = render_job.driver(view)
    assert "driver-20260101000000-0001  FAILED  out of memory" in shown
    assert "job.py 'a b'" in shown
    assert "1 core, 1.0 GiB, supervised" in shown
    assert "137  out of memory" in shown


def test_an_application_in_full() -> None:
    executor = ExecutorView(id=3, worker_id="w1", host="h", cores=2, memory_mib=512, state=ExecutorState.RUNNING, pid=7)
    view = AppView(
        id="app-20260101000000-0001", name="etl", user="u", state=ApplicationState.RUNNING, submitted=1e9,
        cores_granted=2, executors=(executor,),
    )  # fmt: skip
    shown = render_job.app(view)
    assert "2 granted, limit unlimited" in shown
    assert "Executors (1)" in shown


def test_json_is_complete_and_sorted() -> None:
    view = cluster(workers=(worker(1, WorkerState.DEAD), worker(3), worker(2)), active_drivers=(driver(2), driver(1)))
    found = json.loads(as_json(view))
    assert [entry["host"] for entry in found["workers"]] == ["h2", "h3", "h1"]
    assert [entry["id"][-1] for entry in found["active_drivers"]] == ["1", "2"]
    # Defaults are left out on the wire, not here.
    assert found["active_drivers"][0]["supervise"] is False
    assert found["active_drivers"][0]["attempts"] == []
    assert set(found["active_drivers"][0]) == set(DriverView.__struct_fields__)
    assert set(found) == {*ClusterView.__struct_fields__, "live_workers"}
    assert found["live_workers"] == 2
