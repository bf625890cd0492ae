"""Metrics as Prometheus parses them, and under Spark's names."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from stoker.core.model.pools import Pool, Quota
from stoker.core.model.states import ApplicationState, DriverState, MasterState
from stoker.core.model.values import Exit
from stoker.core.model.views import AttemptView, ClusterView, PoolView
from stoker.errors import Unreachable
from stoker.security.audit import audit
from stoker.web.master import make_app as master_app
from stoker.web.metrics.pools import MOST_POOLS, OTHERS
from stoker.web.worker import make_app as worker_app
from tests.support.web import Control, app_view, cluster_view, driver_view, worker_page, worker_view


def master(cluster: ClusterView | None = None) -> FlaskClient:
    return master_app(lambda: cluster or cluster_view(), Control()).test_client()


def worker() -> FlaskClient:
    return worker_app(worker_page, Control().read_log).test_client()


def samples(client: FlaskClient, path: str = "/metrics/prometheus") -> dict[str, float]:
    response = client.get(path)
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(response.text):
        assert family.documentation, f"{family.name} has no HELP"
        assert family.type in {"gauge", "counter", "histogram", "info"}, f"{family.name} has no TYPE"
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def test_cluster() -> None:
    found = samples(master())
    assert found["stoker_master_state{state=ALIVE}"] == 1
    assert found["stoker_master_state{state=STANDBY}"] == 0
    assert found["stoker_master_epoch"] == 3
    assert found["stoker_workers{state=ALIVE}"] == 1
    assert found["stoker_workers{state=DEAD}"] == 1
    assert found["stoker_cores"] == 8
    assert found["stoker_cores_used"] == 3
    assert found["stoker_memory_used_bytes"] == 1024 * 2**20
    assert found["stoker_drivers{state=SUBMITTED}"] == 1
    assert found["stoker_drivers{state=FAILED}"] == 1
    assert found["stoker_drivers_waiting_longest_seconds"] > 0
    assert found["stoker_applications{state=FINISHED}"] == 1
    assert found["stoker_application_cores{app_id=app-20140513164640-0001,name=count,user=ada}"] == 1
    assert found["stoker_worker_up{host=host2,worker=worker-20140513164640-host2-7002}"] == 0
    assert found["stoker_build_info{version=0.1.0}"] == 1
    assert found["process_resident_memory_bytes"] > 0


def pool_view(name: str, **changes: Any) -> PoolView:
    return PoolView(name=name, settings=Pool(name=name, weight=2, min_share=Quota(cores=4)), **changes)


def test_pools() -> None:
    pools = (
        pool_view("etl", cores=3, memory_mib=2, drivers=2, applications=1, waiting=7, oldest=1.0, part_now=0.25),
        pool_view("default", cores=4, part_past=0.5),
    )
    found = samples(master(cluster_view(pools=pools)))
    assert found["stoker_pool_drivers_running{pool=etl}"] == 2
    assert found["stoker_pool_applications{pool=etl}"] == 1
    assert found["stoker_pool_waiting{pool=etl}"] == 7
    assert found["stoker_pool_waiting_longest_seconds{pool=etl}"] > 1e9
    assert found["stoker_pool_waiting_longest_seconds{pool=default}"] == 0
    assert found["stoker_pool_memory_used_bytes{pool=etl}"] == 2 * 2**20
    assert found["stoker_pool_weight{pool=etl}"] == 2
    assert (found["stoker_pool_part_now{pool=etl}"], found["stoker_pool_part_past{pool=default}"]) == (0.25, 0.5)
    assert found["stoker_pool_below_min_share{pool=etl}"] == 1
    assert found["stoker_pool_below_min_share{pool=default}"] == 0
    assert not any(name.startswith("stoker_pool_") for name in samples(master()))


def test_many_pools_do_not_make_many_series() -> None:
    pools = tuple(pool_view(f"p{number}", waiting=1) for number in range(MOST_POOLS + 50))
    found = samples(master(cluster_view(pools=pools)))
    series = [name for name in found if name.startswith("stoker_pool_waiting{")]
    assert len(series) == MOST_POOLS + 1
    assert found[f"stoker_pool_waiting{{pool={OTHERS}}}"] == 50


def test_refusals_are_counted_and_other_results_are_not() -> None:
    before = samples(master())["stoker_requests_refused_total"]
    for result in ("done", "unanswered: disconnected", "refused", "there is no driver x"):
        audit("kill", "x", result, who="ada")
    assert samples(master())["stoker_requests_refused_total"] == before + 2


def test_counters_and_histograms() -> None:
    control = Control()
    control.tally.drivers_ended[DriverState.FAILED] += 3
    for seconds in (0.2, 2.0, 1e6):
        control.tally.driver_wait.observe(seconds)
    found = samples(master_app(cluster_view, control).test_client())
    assert found["stoker_drivers_ended_total{state=FAILED}"] == 3
    assert found["stoker_drivers_ended_total{state=KILLED}"] == 0, "from the start, so that the first increase is seen"
    assert found["stoker_driver_queue_seconds_bucket{le=0.5}"] == 1
    assert found["stoker_driver_queue_seconds_bucket{le=5}"] == 2
    assert found["stoker_driver_queue_seconds_bucket{le=+Inf}"] == found["stoker_driver_queue_seconds_count"] == 3
    assert found["stoker_driver_queue_seconds_sum"] == 1_000_002.2


def attempts(*, ago: float, exit: Exit, count: int = 5, running: bool = True) -> tuple[AttemptView, ...]:
    began = time.time() - ago
    runs = [
        AttemptView(number=n, worker_id="", state=DriverState.FAILED, started=began, ended=began + n, exit=exit)
        for n in range(1, count + 1)
    ]
    last = AttemptView(number=count + 1, worker_id="", state=DriverState.RUNNING, started=began)
    return (*runs, last) if running else tuple(runs)


@pytest.mark.parametrize(
    ("runs", "loops"),
    [
        ({"ago": 300, "exit": Exit(code=1)}, 1),
        ({"ago": 300, "exit": Exit(code=1), "running": False}, 1),
        ({"ago": 300, "exit": Exit(code=1), "count": 4}, 0),
        ({"ago": 1000, "exit": Exit(code=1)}, 0),
        ({"ago": 300, "exit": Exit(code=0)}, 0),
    ],
)
def test_crash_loops(runs: dict[str, Any], loops: int) -> None:
    cluster = cluster_view(active_drivers=(driver_view(1, attempts=attempts(**runs)),))
    assert samples(master(cluster))["stoker_crash_loops{kind=driver}"] == loops


def test_what_waits_longest() -> None:
    now = time.time()
    again = driver_view(1, state=DriverState.SUBMITTED, attempts=attempts(ago=100, exit=Exit(code=1), running=False))
    idle = app_view(1, state=ApplicationState.WAITING, executor_limit=0, executors=())
    waits = app_view(2, state=ApplicationState.WAITING, executors=(), submitted=now - 50)
    found = samples(master(cluster_view(active_drivers=(again,), active_apps=(idle, waits))))
    assert 90 < found["stoker_drivers_waiting_longest_seconds"] < 99, "since its last attempt ended"
    assert 49 < found["stoker_applications_waiting_longest_seconds"] < 90, "not the one that wants no executor"


def test_a_draining_worker_is_not_live() -> None:
    found = samples(master(cluster_view(workers=(worker_view(1, draining=True), worker_view(2)))))
    assert found["stoker_workers{state=ALIVE}"] == found["metrics_master_aliveWorkers_Value{type=gauges}"] == 1
    assert found["stoker_workers{state=DECOMMISSIONED}"] == 1
    assert found["stoker_cores"] == 8


def test_an_empty_standby() -> None:
    empty = ClusterView(url="spark://h:7077", state=MasterState.STANDBY, epoch=0, version="1")
    found = samples(master(empty))
    assert found["stoker_master_state{state=STANDBY}"] == 1
    assert found["stoker_drivers_waiting_longest_seconds"] == 0


def test_worker() -> None:
    found = samples(worker())
    assert found["stoker_worker_registered"] == 1
    assert found["stoker_worker_own_cores"] == 8
    assert found["stoker_worker_executors{state=RUNNING}"] == 1
    assert found["metrics_worker_coresFree_Number{type=gauges}"] == 5


def test_names_of_spark() -> None:
    for path in ("/metrics/prometheus", "/metrics/master/prometheus"):
        found = samples(master(), path)
        assert found["metrics_master_aliveWorkers_Number{type=gauges}"] == 1
        assert found["metrics_master_aliveWorkers_Value{type=gauges}"] == 1
        assert found["metrics_master_waitingApps_Number{type=gauges}"] == 0
    found = samples(master(), "/metrics/applications/prometheus")
    assert found["metrics_application_count_1400000000250_cores_Number{type=gauges}"] == 1


def test_sparks_servlet() -> None:
    answer = master().get("/metrics/master/json").get_json()
    assert answer["gauges"]["master.aliveWorkers"] == {"value": 1}
    assert set(answer) == {"version", "gauges", "counters", "histograms", "meters", "timers"}
    apps = master().get("/metrics/applications/json").get_json()["gauges"]
    assert apps["application.count.1400000000250.status"] == {"value": "RUNNING"}
    assert worker().get("/metrics/json").get_json()["gauges"]["worker.memUsed_MB"] == {"value": 1536}


def test_hostile_names_stay_values() -> None:
    app = app_view(name='x"} 1\nevil_metric 7\n#', user="\\")
    twin = msgspec.structs.replace(app, id="app-20140513164640-0009")
    found = samples(master(cluster_view(active_apps=(app, twin))))
    assert "evil_metric" not in found
    assert sum(name.startswith("stoker_application_cores{") for name in found) == 2


def test_a_master_that_cannot_answer_is_down_for_prometheus() -> None:
    def busy() -> ClusterView:
        raise Unreachable("too busy")

    assert master_app(busy, Control()).test_client().get("/metrics/prometheus").status_code == 503


@pytest.mark.parametrize("client", [master, worker])
def test_promtool_finds_nothing(client: object) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    text = client().get("/metrics/prometheus").text  # type: ignore[operator]
    # Spark's old names are as they are; everything of ours must be as Prometheus wants it.
    ours = "".join(line for line in text.splitlines(keepends=True) if "metrics_" not in line)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=ours, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
