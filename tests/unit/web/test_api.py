"""What ``/api/v1`` answers: filters, pages, unknown names and parameters."""

from __future__ import annotations

import random

import pytest

from stoker.core.model.states import DriverState, ExecutorState
from stoker.core.model.views import AppView, ClusterView, DriverView
from stoker.web.access.policy import Access
from stoker.web.master import make_app
from tests.support.web import Control, app_view, cluster_view, driver_view, executor_view, worker_view
from tests.unit.web.api import APP, DRIVER, PROGRAM, WORKER, client, get


def test_cluster() -> None:
    cluster = get("/cluster")
    assert (cluster["url"], cluster["state"], cluster["epoch"]) == ("spark://host0:7077", "ALIVE", 3)
    assert cluster["workers"] == {"ALIVE": 1, "DEAD": 1}
    assert cluster["drivers"] == {"RUNNING": 1, "SUBMITTED": 1, "FAILED": 1}
    assert (cluster["cores"], cluster["cores_used"]) == (8, 3)


def test_lists_are_paged_and_filtered() -> None:
    assert [worker["id"] for worker in get("/workers")["items"]] == [WORKER, worker_view(2).id]
    page = get("/drivers?limit=1&offset=1")
    assert (page["total"], page["offset"], [driver["id"] for driver in page["items"]]) == (3, 1, [driver_view(2).id])
    assert page["next"] == driver_view(2).id
    last = get(f"/drivers?limit=1&cursor={page['next']}")
    assert ([driver["id"] for driver in last["items"]], last["next"]) == ([DRIVER], "")
    assert [driver["state"] for driver in get("/drivers?state=FAILED")["items"]] == ["FAILED"]
    assert get("/applications?state=KILLED") == {"total": 0, "offset": 0, "next": "", "items": []}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/drivers?user=ada", []),
        ("/drivers?active=true", [driver_view(2).id, DRIVER]),
        ("/drivers?active=false", [driver_view(3).id]),
        ("/drivers?name=e*&state=RUNNING", [DRIVER]),
        (f"/drivers?worker={WORKER}&state=RUNNING", [DRIVER]),
        ("/drivers?text=FAILED%20etl", [driver_view(3).id]),
        ("/applications?user=ada&active=true", [APP]),
        ("/applications?worker=host1&active=true", [APP]),
        ("/workers?state=ALIVE", [WORKER]),
        (f"/workers?application={APP}", [WORKER]),
        ("/workers?text=dead", [worker_view(2).id]),
    ],
)
def test_filters(path: str, found: list[str]) -> None:
    assert [one["id"] for one in get(path)["items"]] == found


def test_one_of_each() -> None:
    assert get(f"/workers/{WORKER}")["cores"] == 8
    driver = get(f"/drivers/{DRIVER}")
    assert driver["attempts"][0]["number"] == 1
    assert driver["supervise"] is False, "what has its default value is there too"
    assert get(f"/applications/{APP}")["cores_max"] == 4
    assert [executor["id"] for executor in get(f"/applications/{APP}/executors")["executors"]] == [0]


@pytest.mark.parametrize(
    "path",
    ["/workers/x", "/drivers/x", f"/drivers/{APP}", f"/applications/{DRIVER}", "/applications/x/executors", "/nothing",
     f"/drivers/{DRIVER}/logs/stdin", "/drivers/x/logs/stdout", f"/applications/{APP}/executors/x/logs/stdout",
     f"/applications/{APP}/executors/-1/logs/stdout", "/drivers/..%2f..%2fetc/logs/stdout"],
)  # fmt: skip
def test_what_is_not_there(path: str) -> None:
    response = client().get(f"/api/v1{path}")
    assert response.status_code == 404
    assert response.get_json()["status"] == 404


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=1e3", "offset=-1", "offset=٣", "state=Running", "state=", "user=",
              "text=%20", "name=%00", "cursor=3", "user=ada&user=bob"]
)  # fmt: skip
def test_bad_questions(query: str) -> None:
    response = client().get(f"/api/v1/drivers?{query}")
    assert response.status_code == 400
    assert "must be" in response.get_json()["error"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/api/v1/drivers?usr=ada", "'usr' (did you mean user?)"),
        ("/api/v1/drivers?State=RUNNING", "did you mean state?"),
        ("/api/v1/cluster?user=ada", "it has none"),
        (f"/api/v1/drivers/{DRIVER}?state=RUNNING", "it has none"),
        (f"/api/v1/drivers/{DRIVER}/logs/stdout?ofset=1", "did you mean offset?"),
        ("/api/v1/openapi.json?x=1", "it has none"),
        ("/api/v1/events?x=1", "it has none"),
        ("/history/?from=1", "it has since"),
    ],
)
def test_unknown_parameters_are_rejected_with_the_nearest(path: str, hint: str) -> None:
    response = client().get(path)
    assert response.status_code == 400
    error = response.get_json()["error"]
    assert hint in error and "\n" not in error


def test_an_unknown_parameter_of_a_change_changes_nothing() -> None:
    control = Control()
    assert client(control).post(f"/api/v1/drivers/{DRIVER}/kill?dry_run=true").status_code == 400
    assert client(control).post(f"/api/v1/drivers/{DRIVER}/kill", json={"after": 5}).status_code == 400
    assert client(control).post("/api/v1/drivers?supervise=true", json=PROGRAM).status_code == 400
    assert not (control.killed or control.submitted)


@pytest.mark.parametrize(
    "path", ["/json/?user=ada", "/json/workers/?x=1", "/metrics/prometheus?x=1", "/metrics/master/json?x"]
)
def test_sparks_interfaces_ignore_unknown_parameters_as_spark_does(path: str) -> None:
    assert client().get(path).status_code == 200


@pytest.mark.parametrize("path", [f"/drivers/{DRIVER}/logs/stdout", f"/applications/{APP}/executors/0/logs/stderr"])
def test_output(path: str) -> None:
    control = Control()
    control.output = b"hello\xff\n"
    response = client(control).get(f"/api/v1{path}?offset=0&limit=100")
    assert response.data == b"hello\xff\n"
    assert (response.headers["Log-Offset"], response.headers["Log-Size"]) == ("0", "7")
    assert response.headers["Log-Ended"] == "false"


def test_ten_thousand_drivers_are_read_in_pages() -> None:
    drivers = tuple(driver_view(number) for number in range(10_000))

    def crowded() -> ClusterView:
        return cluster_view(active_drivers=drivers)

    browser = make_app(crowded, Control(), access=Access()).test_client()
    page = browser.get("/api/v1/drivers?offset=9990&limit=1000").get_json()
    assert (page["total"], len(page["items"])) == (10_001, 11)


def test_executors_come_in_pages_while_they_end() -> None:
    live = tuple(executor_view(number) for number in range(20))
    site = {"app": app_view(1, executors=live)}

    class Changing(Control):
        def status(self, job_id: str) -> DriverView | AppView:
            return site["app"]

    browser = make_app(cluster_view, Changing(), access=Access()).test_client()
    first = browser.get(f"/api/v1/applications/{APP}/executors?limit=7").get_json()
    ended = tuple(executor_view(number, state=ExecutorState.LOST) for number in (0, 3, 9, 15))
    left = tuple(one for one in live if one.id not in {executor.id for executor in ended})
    site["app"] = app_view(1, executors=(*left, executor_view(20)), removed_executors=ended)
    rest = browser.get(f"/api/v1/applications/{APP}/executors?cursor={first['next']}").get_json()
    assert [one["id"] for one in first["executors"]] == list(range(7))
    assert sorted(one["id"] for one in rest["executors"] + rest["removed"]) == list(range(7, 21))
    assert ([one["id"] for one in rest["removed"]], rest["next"], rest["total"]) == ([9, 15], "", 21)
    lost = browser.get(f"/api/v1/applications/{APP}/executors?state=LOST&limit=3").get_json()
    assert ([one["id"] for one in lost["removed"]], lost["next"]) == ([0, 3, 9], "9")


@pytest.mark.parametrize("seed", range(20))
def test_a_walk_by_cursor_neither_skips_nor_repeats(seed: int) -> None:
    """Between two pages drivers are submitted, start, end, and leave the history."""
    rng = random.Random(seed)
    states: dict[int, DriverState] = {}
    gone: set[int] = set()
    newest = 9_950 + rng.randrange(100)  # the number in an id gets a fifth digit

    def submit() -> None:
        nonlocal newest
        newest += 1
        states[newest] = DriverState.SUBMITTED

    def change() -> None:
        for _ in range(rng.randrange(8)):
            if rng.random() < 0.5 or not states:
                submit()
                continue
            one = rng.choice(sorted(states))
            if states[one].is_final:
                gone.add(one)
                del states[one]
            else:
                states[one] = rng.choice([DriverState.RUNNING, DriverState.FINISHED, DriverState.FAILED])

    def cluster() -> ClusterView:
        views = [driver_view(number, state=state) for number, state in states.items()]
        active = [view for view in views if not view.state.is_final]
        ended = [view for view in views if view.state.is_final]
        rng.shuffle(ended)
        return cluster_view(active_drivers=tuple(active), completed_drivers=tuple(ended))

    for _ in range(rng.randrange(10, 80)):
        submit()
    before = set(states)
    browser = make_app(cluster, Control(), access=Access()).test_client()
    seen: list[str] = []
    cursor = ""
    while True:
        page = browser.get(
            "/api/v1/drivers", query_string={"limit": 7} | ({"cursor": cursor} if cursor else {})
        ).get_json()
        seen += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if not cursor:
            break
        change()
    assert len(set(seen)) == len(seen), "repeated"
    assert {driver_view(number).id for number in before - gone} <= set(seen), "skipped"
