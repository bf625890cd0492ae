"""The JSON of both daemons, key by key with spec 15.5."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from stoker.core.model.states import MasterState, WorkerState
from stoker.web import spark_json
from stoker.web.jackson import pretty
from stoker.web.master import make_app as master_app
from stoker.web.worker import make_app as worker_app
from tests.support.web import (
    SUBMITTED,
    Control,
    app_view,
    cluster_view,
    driver_view,
    executor_page,
    worker_page,
    worker_view,
)

WORKER = """id host port webuiaddress cores coresused coresfree memory memoryused memoryfree resources resourcesused
resourcesfree state lastheartbeat"""
APP = """id starttime name cores user memoryperexecutor memoryperslave resourcesperexecutor resourcesperslave submitdate
state duration"""
DRIVER = "id starttime state cores memory resources submitdate worker mainclass"
MASTER = """url workers aliveworkers cores coresused memory memoryused resources resourcesused activeapps completedapps
activedrivers completeddrivers status"""
OWN = """id masterurl masterwebuiurl cores coresused memory memoryused resources resourcesused executors
finishedexecutors"""
EXECUTOR = "id memory resources appid appdesc"
APPDESC = "name cores memoryperexecutor resourcesperexecutor memoryperslave resourcesperslave user command"


def get(path: str, cluster: Any = None) -> Any:
    response = master_app(lambda: cluster or cluster_view(), Control()).test_client().get(path)
    assert response.content_type == "application/json"
    return response.get_json()


def test_master_has_all_fields_of_spark_in_its_order() -> None:
    whole = get("/json/")
    assert list(whole) == MASTER.split()
    assert whole["url"] == "spark://host0:7077"
    assert whole["status"] == "ALIVE"
    assert whole["resources"] == whole["resourcesused"] == [{}] * whole["aliveworkers"], (
        "one for each worker, as Spark's"
    )
    assert [len(whole[name]) for name in ("workers", "activeapps", "completedapps")] == [2, 1, 1]
    assert [len(whole[name]) for name in ("activedrivers", "completeddrivers")] == [2, 1]


def test_named_resources_have_spark_s_shape() -> None:
    gpus = (("gpu", ("0", "1")),)
    attempt = msgspec.structs.replace(driver_view().attempts[0], resources=(("gpu", ("1",)),))
    cluster = cluster_view(
        workers=(worker_view(1, resources=gpus, resources_used=(("gpu", ("1",)),)),),
        active_drivers=(driver_view(attempts=(attempt,), resources=(("gpu", 1),)),),
        active_apps=(app_view(resources=(("gpu", 2),)),),
    )
    whole = get("/json/", cluster)
    both, one = {"gpu": {"name": "gpu", "addresses": ["0", "1"]}}, {"gpu": {"name": "gpu", "addresses": ["1"]}}
    (worker,) = whole["workers"]
    assert (worker["resources"], worker["resourcesused"]) == (both, one)
    assert worker["resourcesfree"] == {"gpu": {"name": "gpu", "addresses": ["0"]}}
    assert (whole["resources"], whole["resourcesused"]) == ([both], [one])
    assert whole["activedrivers"][0]["resources"] == one
    assert whole["activeapps"][0]["resourcesperexecutor"] == [{"name": "gpu", "amount": 2}]


def test_it_is_printed_as_spark_prints_it() -> None:
    """Recorded from Spark 4.3's master: monitors look for such lines."""
    browser = master_app(lambda: cluster_view(workers=(worker_view(1),)), Control()).test_client()
    lines = browser.get("/json/").text.splitlines()
    assert lines[:5] == ["{", '  "url" : "spark://host0:7077",', '  "workers" : [ {', f'    "id" : "{worker_view(1).id}",',
                         '    "host" : "host1",']  # fmt: skip
    assert '    "resources" : { },' in lines and '  "resources" : [ { } ],' in lines
    assert lines[-2:] == ['  "status" : "ALIVE"', "}"]
    assert browser.get("/json/status/").text == '{\n  "status" : "ALIVE"\n}'


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ({}, "{ }"), ([], "[ ]"), ([1, True, None], "[ 1, true, null ]"), ([{}, {}], "[ { }, { } ]"),
        ({"a": [{"b": "c"}]}, '{\n  "a" : [ {\n    "b" : "c"\n  } ]\n}'),
        ("\x01\x1f\x7f\n/\\u001f \\\x1f <\"ü", '"\\u0001\\u001F\x7f\\n/\\\\u001f \\\\\\u001F <\\"ü"'),
        ("\ud800", '"?"'),
    ],
)  # fmt: skip
def test_jackson_prints_it_so(value: object, printed: str) -> None:
    assert pretty(value).decode() == printed


def test_totals_are_over_alive_workers() -> None:
    states = [WorkerState.ALIVE, WorkerState.DEAD, WorkerState.DECOMMISSIONED, WorkerState.UNKNOWN, WorkerState.ALIVE]
    workers = tuple(worker_view(number, state=state) for number, state in enumerate(states))
    whole = get("/json/", cluster_view(workers=workers))
    assert whole["aliveworkers"] == 2
    assert (whole["cores"], whole["coresused"]) == (16, 6)
    assert (whole["memory"], whole["memoryused"]) == (2 * 15872, 2 * 1024)
    assert len(whole["workers"]) == 5


def test_worker() -> None:
    json = spark_json.worker_json(worker_view())
    assert list(json) == WORKER.split()
    assert json == {
        "id": "worker-20140513164640-host1-7001",
        "host": "host1",
        "port": 7001,
        "webuiaddress": "http://host1:8081",
        "cores": 8,
        "coresused": 3,
        "coresfree": 5,
        "memory": 15872,
        "memoryused": 1024,
        "memoryfree": 14848,
        "resources": {},
        "resourcesused": {},
        "resourcesfree": {},
        "state": "ALIVE",
        "lastheartbeat": 1400000000250,
    }


def test_application(monkeypatch: pytest.MonkeyPatch) -> None:
    json = spark_json.app_json(app_view(ended=SUBMITTED + 90.5, cores_granted=3))
    assert list(json) == APP.split()
    assert json["starttime"] == 1400000000250
    assert json["cores"] == 3, "those granted, not those asked for"
    assert json["memoryperexecutor"] == json["memoryperslave"] == 1024
    assert json["duration"] == 90500
    monkeypatch.setattr(time, "time", lambda: SUBMITTED + 2)
    assert spark_json.app_json(app_view())["duration"] == 2000, "still running: until now"


def test_driver() -> None:
    json = spark_json.driver_json(driver_view())
    assert list(json) == DRIVER.split()
    assert json["starttime"] == "1400000000250", "a string, as Spark has it"
    assert json["worker"] == worker_view().id
    assert json["mainclass"] == "etl.main:run"
    queued = spark_json.driver_json(driver_view(worker_id="", main_class=""))
    assert queued["worker"] == "None"
    assert queued["mainclass"] == "etl.pyz"


def test_dates_are_javas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", time.gmtime)
    assert spark_json.java_date(SUBMITTED) in {"Tue May 13 16:53:20 UTC 2014", "Tue May 13 16:53:20 GMT 2014"}


@pytest.mark.parametrize("field", MASTER.split())
@pytest.mark.parametrize("end", ["", "/"])
def test_one_field(field: str, end: str) -> None:
    assert list(get(f"/json/{field}{end}")) == [field]


def test_unknown_field_says_which_there_are() -> None:
    answer = get("/json/nonsense")
    assert answer["status"] == 404
    assert "aliveworkers" in answer["error"]


def test_utilization() -> None:
    assert get("/json/clusterutilization") == {
        "waitingDrivers": 1,
        "cores": 8,
        "coresused": 3,
        "coresutilization": 37,
        "memory": 15872,
        "memoryused": 1024,
        "memoryutilization": 6,
    }


def test_utilization_of_nothing_is_full() -> None:
    answer = get("/json/clusterutilization", cluster_view(workers=()))
    assert (answer["coresutilization"], answer["memoryutilization"]) == (100, 100)


@pytest.mark.parametrize(
    ("state", "code"), [(MasterState.ALIVE, 200), (MasterState.STANDBY, 503), (MasterState.RECOVERING, 503)]
)
def test_ready_only_when_alive_but_healthy_always(state: MasterState, code: int) -> None:
    client = master_app(lambda: cluster_view(state=state), Control()).test_client()
    assert client.get("/readyz").status_code == code
    assert client.get("/healthz").status_code == 200


def test_workers_own() -> None:
    json = worker_app(worker_page, Control().read_log).test_client().get("/json/").get_json()
    assert list(json) == OWN.split()
    assert json["masterwebuiurl"] == "http://host0:8080"
    assert (json["coresused"], json["memoryused"]) == (3, 1536)
    [executor] = json["executors"]
    assert list(executor) == EXECUTOR.split()
    assert list(executor["appdesc"]) == APPDESC.split()
    assert (executor["id"], executor["appid"], executor["memory"]) == (4, "app-20140513164640-0001", 1024)
    assert executor["appdesc"]["command"] == "sh -c 'echo hello'"
    assert json["finishedexecutors"] == []


@pytest.mark.parametrize(("cores_max", "shown"), [(None, 0), (6, 6)])
def test_an_applications_wish_for_cores(cores_max: int | None, shown: int) -> None:
    page = worker_page(executors=(executor_page(app_cores_max=cores_max),))
    assert spark_json.worker_page_json(page)["executors"][0]["appdesc"]["cores"] == shown
