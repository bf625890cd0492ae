"""The master's pages, parsed: what they show (spec 15.1, 15.2), and that hostile names stay text."""

from __future__ import annotations

import html
import re
from typing import Any

import msgspec
import pytest

from stoker.core.model.states import DriverState, ExecutorState, MasterState, WorkerState
from stoker.core.model.values import Exit
from stoker.core.model.views import ArrayView, AttemptView, ClusterView, PlaceView, ReservationView
from stoker.errors import Unreachable
from stoker.web.master import make_app
from tests.support.web import (
    SUBMITTED,
    Control,
    Page,
    app_view,
    cluster_view,
    driver_view,
    executor_view,
    mixed_jobs,
    worker_view,
)
from tests.unit.web.dashboard import browser, look

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


# --- the overview ---


def test_summary() -> None:
    page = look(browser())
    assert "spark://host0:7077 ALIVE epoch 3 version 0.1.0" in page.text
    assert page.definition("Workers").startswith("1 Alive 1 Dead, 0 Decommissioned, 0 Unknown")
    assert page.definition("Cores in use").startswith("3 Used 8 Total")
    assert page.definition("Memory in use").startswith("1.0 GiB Used 15.5 GiB Total")
    assert page.definition("Drivers").startswith(
        "1 Running (1 Waiting) 1 Completed (0 Killed, 1 Failed, 0 Error, 0 Relaunching)"
    )
    assert page.definition("Applications").startswith("1 Running (0 Waiting) 1 Completed")


def test_numbers_are_the_same_everywhere() -> None:
    client = browser(mixed_jobs())
    page = look(client)
    assert page.definition("Drivers").startswith(
        "1 Running (9 Waiting) 2 Completed (0 Killed, 1 Failed, 0 Error, 1 Relaunching)"
    )
    assert page.definition("Applications").startswith("0 Running (1 Waiting) 1 Completed")
    assert "<title>1 running, 10 waiting, 1 dead - " in client.get("/").text
    counted = {"RUNNING": 1, "SUBMITTED": 9, "RELAUNCHING": 1, "FINISHED": 1, "FAILED": 1}
    assert client.get("/api/v1/cluster").get_json()["drivers"] == counted
    metrics = client.get("/metrics/prometheus").text
    for state, number in counted.items():
        assert f'stoker_drivers{{state="{state}"}} {number}.0' in metrics


def test_a_row_says_whether_a_job_has_started() -> None:
    array = ArrayView(indices="1-2", tasks=2, waiting=2)
    waits = driver_view(1, state=DriverState.SUBMITTED, worker_id="", attempts=())
    ended = {"state": DriverState.KILLED, "ended": SUBMITTED + 90}
    none: dict[str, Any] = {"worker_id": "", "attempts": ()}
    rows = (
        (waits, "not yet", "waits "),
        (driver_view(2, **none, **ended), "never", "waited 1.5 min"),
        (driver_view(3, **none, state=DriverState.SUBMITTED, array=array), "not yet", "waits "),
        (driver_view(4, **none, array=msgspec.structs.replace(array, waiting=1, running=1)), "", ""),
        (driver_view(5, **none, **ended, array=msgspec.structs.replace(array, waiting=0, killed=2)), "", "1.5 min"),
    )
    for driver, started, ran in rows:
        lists = {"completed_drivers": (driver,)} if driver.ended else {"active_drivers": (driver,)}
        tables = look(browser(cluster_view(**lists))).tables
        row = tables["Completed Drivers" if driver.ended else "Running Drivers"][1]
        assert (row[5], row[6].startswith(ran), "wait" in row[6]) == (started, True, "wait" in ran), row


def test_tables_have_sparks_columns() -> None:
    tables = look(browser()).tables
    assert tables["Workers"][0] == ["Worker Id", "Address", "State", "Cores", "Memory"]
    assert tables["Workers"][1] == [
        "worker-20140513164640-host1-7001", "host1:7001", "ALIVE", "8 (3 Used)", "15.5 GiB (1.0 GiB Used)",
    ]  # fmt: skip
    for name in ("Running Applications", "Completed Applications"):
        assert tables[name][0] == [
            "Application ID", "Name", "Cores", "Memory per Executor", "Submitted Time", "User", "State", "Duration",
        ]  # fmt: skip
    assert tables["Completed Applications"][1][-1] == "1.5 min"
    columns = ["Submission ID", "Name", "User", "State", "Exit", "Started", "Ran for", "Needs", "Worker"]
    assert tables["Running Drivers"][0] == columns
    assert tables["Completed Drivers"][0] == columns
    assert tables["Running Drivers"][2][-1] == "None"


def test_a_drivers_row_says_what_people_ask() -> None:
    exit = Exit(code=3, reason="Command exited with code 3", last_error_line="ValueError: no such table")
    attempt = AttemptView(
        number=1,
        worker_id=worker_view().id,
        state=DriverState.FAILED,
        started=SUBMITTED,
        ended=SUBMITTED + 90,
        exit=exit,
    )
    failed = driver_view(
        7, name="nightly", user="ada", state=DriverState.FAILED, ended=SUBMITTED + 90, attempts=(attempt,),
        reason=exit.reason,
    )  # fmt: skip
    waiting = driver_view(
        2, name="report", user="eve", state=DriverState.SUBMITTED, attempts=(), worker_id="", cores=99
    )
    tables = look(browser(cluster_view(active_drivers=(waiting,), completed_drivers=(failed,)))).tables
    assert tables["Completed Drivers"][1] == [
        failed.id, "nightly etl.main:run", "ada", "FAILED Command exited with code 3 ValueError: no such table", "exit 3",
        "2014-05-13 16:53:20 UTC", "1.5 min", "2 cores, 512.0 MiB", "host1:7001",
    ]  # fmt: skip
    row = tables["Running Drivers"][1]
    assert row[3].startswith("SUBMITTED needs 99 cores and 512 MiB on one worker")
    assert row[5] == "not yet"
    assert row[6].startswith("waits ")
    assert (
        "ValueError" in look(browser(cluster_view(completed_drivers=(failed,))), f"/driver/?driverId={failed.id}").text
    )


def test_the_kill_button_names_the_job() -> None:
    [button] = [given for tag, given in look(browser()).tags if given.get("value") == driver_view(1).id]
    assert (button["aria-label"], button["data-name"]) == (f"Kill {driver_view(1).id} (etl)", "etl")


def test_an_output_out_of_reach_is_said_to_be() -> None:
    lost = driver_view(1, state=DriverState.UNKNOWN)
    path = f"/driver/?driverId={lost.id}"
    site = cluster_view(workers=(worker_view(1, state=WorkerState.DEAD),), active_drivers=(lost,))
    page = look(browser(site), path)
    assert f"It is on {worker_view().id} , which is not connected" in page.text
    assert "on a lost worker" in page.tables["Attempts"][1][-1]
    assert not [given for tag, given in page.tags if "data-follow" in given]
    back = worker_view(1, id=worker_view().id.replace("20140513", "20140514"))
    page = look(browser(msgspec.structs.replace(site, workers=(back,))), path)
    assert len([given for tag, given in page.tags if "data-follow" in given]) == 2
    assert f"/logPage/?driverId={lost.id}&attempt=1&logType=stdout" in page.links()


def test_workers_have_pages_of_their_own() -> None:
    client = browser()
    path = f"/worker/?workerId={worker_view().id}"
    assert path in look(client).links()
    page = look(client, path)
    assert page.definition("Address").startswith("host1:7001")
    assert page.definition("Cores").startswith("8 (3 Used)")
    assert "http://host1:8081" in page.links()
    assert page.tables["Drivers here"][1][0] == f"{driver_view().id} kill"
    assert page.tables["Executors here"][1][:5] == [
        "app-20140513164640-0001", "count", "ada", "0", "RUNNING",
    ]  # fmt: skip


def test_no_driver_tables_without_drivers() -> None:
    page = look(browser(cluster_view(active_drivers=(), completed_drivers=())))
    assert "Running Drivers" not in page.text
    assert "Completed Applications" in page.text


def test_an_empty_cluster_says_how_to_go_on() -> None:
    page = look(browser(ClusterView(url="spark://h:7077", state=MasterState.ALIVE, epoch=1, version="0")))
    assert "stoker worker spark://h:7077" in page.text


def test_a_standby_leads_to_the_leader() -> None:
    view = ClusterView(
        url="spark://h:7077", state=MasterState.STANDBY, epoch=0, version="0", leader_url="spark://other:7077"
    )
    page = look(browser(view))
    assert "The leader is spark://other:7077" in page.text
    assert page.tables == {}
    assert "There is no leader yet" in look(browser(msgspec.structs.replace(view, leader_url=""))).text
    shown = browser(msgspec.structs.replace(view, leader_webui_url="http://other:8080")).get("/")
    assert (shown.status_code, shown.location) == (307, "http://other:8080/")


def test_a_standby_without_a_leader_asks_for_patience() -> None:
    view = ClusterView(url="spark://h:7077", state=MasterState.STANDBY, epoch=0, version="0")
    answer = browser(view).get(f"/driver/?driverId={driver_view(1).id}")
    assert answer.status_code == 503 and "knows no leader yet" in answer.text
    assert "data-live data-awaited" in answer.text, "the page looks again"
    assert "data-live" not in browser(cluster_view()).get("/driver/?driverId=driver-x").text


def test_pages_may_ask_the_other_masters() -> None:
    known = ("http://m1:8080", "https://m2.example.org:8443/", "http://[::1]:8080", "http://m3:1; script-src *", "")
    client = browser(cluster_view(dashboards=known))
    page = client.get("/")
    assert 'data-masters="http://m1:8080 https://m2.example.org:8443"' in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "; connect-src 'self' http://m1:8080 https://m2.example.org:8443; style-src" in policy
    assert "connect-src 'self';" in browser(cluster_view()).get("/").headers["Content-Security-Policy"]
    assert "data-masters" not in client.get("/logPage/?self&logType=out").text, "it is about this master"
    assert "connect-src 'self';" in client.get("/json/").headers["Content-Security-Policy"]


def test_other_sites_read_the_state_and_nothing_else() -> None:
    client = browser(cluster_view())
    for path in ("/", "/json/", "/api/v1/cluster", "/healthz", "/history/"):
        assert "Access-Control-Allow-Origin" not in client.get(path).headers
    answer = client.get("/readyz")
    assert answer.headers["Access-Control-Allow-Origin"] == "*" and answer.json == {"status": "ALIVE"}
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_newest_completed_come_first() -> None:
    completed = tuple(driver_view(number, state=DriverState.FINISHED, ended=SUBMITTED) for number in range(3))
    rows = look(browser(cluster_view(completed_drivers=completed))).tables["Completed Drivers"][1:]
    assert [row[0][-1] for row in rows] == ["2", "1", "0"]


def test_relaunching_and_waiting_drivers_do_not_run() -> None:
    states = (DriverState.RUNNING, DriverState.SUBMITTED, DriverState.RELAUNCHING, DriverState.RELAUNCHING)
    drivers = tuple(driver_view(number, state=state) for number, state in enumerate(states))
    page = look(browser(cluster_view(active_drivers=drivers)))
    assert page.definition("Drivers").startswith("1 Running (1 Waiting)")
    assert "2 Relaunching)" in page.text


def test_large_clusters_make_no_large_pages() -> None:
    cluster = cluster_view(
        workers=tuple(worker_view(number) for number in range(10_000)),
        active_drivers=tuple(driver_view(number, state=DriverState.SUBMITTED) for number in range(10_000)),
        completed_drivers=tuple(driver_view(number, state=DriverState.KILLED) for number in range(10_000, 20_000)),
        active_apps=tuple(app_view(number) for number in range(1000)),
        completed_apps=tuple(app_view(number, ended=SUBMITTED + 1) for number in range(1000, 2000)),
    )
    client = browser(cluster)
    response = client.get("/")
    assert len(response.data) < 300_000
    page = Page(response.text)
    assert len(page.tables["Workers"]) == len(page.tables["Running Drivers"]) == 26  # with the head
    assert "1-25 of 10000" in page.text
    assert len(client.get("/json/activedrivers").get_json()["activedrivers"]) == 10_000
    assert page.definition("Workers").startswith("10000 Alive")


def test_title_is_the_users() -> None:
    assert "<h1>Ada&#39;s cluster</h1>" in browser(title="Ada's cluster").get("/").text


def test_title_and_icon_of_the_tab_show_the_state() -> None:
    client = browser()
    for path, title, icon in (
        ("/", "2 running, 1 waiting, 1 dead - Stoker Master at spark://host0:7077", "bad"),
        (f"/driver/?driverId={driver_view(1).id}", f"RUNNING etl - {driver_view(1).id}", "good"),
        (f"/driver/?driverId={driver_view(3).id}", f"FAILED etl - {driver_view(3).id}", "bad"),
        (f"/app/?appId={app_view(2).id}", f"FINISHED count - {app_view(2).id}", "done"),
        (f"/worker/?workerId={worker_view(1).id}", "ALIVE host1:7001 - Stoker worker", "good"),
    ):
        text = client.get(path).text
        assert f"<title>{title}</title>" in text
        assert f'href="/icon/{icon}.svg"' in text
        assert client.get(f"/icon/{icon}.svg").mimetype == "image/svg+xml"
    assert client.get("/icon/other.svg").status_code == 404


def test_times_in_reasons_are_ones_that_scripts_turn_into_the_viewers_zone() -> None:
    place = PlaceView(worker_id=worker_view(1).id)
    made = ReservationView(
        job_id=driver_view(2).id, pool="default", since=SUBMITTED, until=SUBMITTED + 90, places=(place,)
    )
    waits = driver_view(2, state=DriverState.SUBMITTED, worker_id="", attempts=())
    client = browser(cluster_view(active_drivers=(waits,), reservations=(made,)))
    time_of_day = '<time datetime="2014-05-13T16:55:00Z">2014-05-13 16:55 UTC</time> at the latest'
    assert client.get("/").text.count(time_of_day) == 2, "in the list of what waits, and in the row"
    assert time_of_day in client.get(f"/driver/?driverId={waits.id}").text
    hostile = driver_view(3, state=DriverState.FAILED, reason="<b>2014-05-13 16:55 UTC</b>")
    assert "&lt;b&gt;<time" in browser(cluster_view(completed_drivers=(hostile,))).get("/").text


def test_warnings_are_shown() -> None:
    assert "anybody may" in look(browser(cluster_view(warnings=("anybody may",)))).text


# --- pages of one job ---


def test_application_page() -> None:
    removed = executor_view(1, state=ExecutorState.FAILED, exit=Exit(signal=9, reason="killed by the kernel"))
    app = app_view(
        executors=(executor_view(0),), removed_executors=(removed,), executor_limit=5, ui_url="http://h:4040"
    )
    page = look(browser(cluster_view(active_apps=(app,))), f"/app/?appId={app.id}")
    assert page.definition("Cores").startswith("4 (1 granted, 3 left)")
    assert page.definition("Executor Limit").startswith("5 (1 granted)")
    assert page.tables["Executor Summary"][1][0] == "0"
    assert page.tables["Removed Executors"][1][7] == "signal 9 killed by the kernel"
    assert "http://h:4040" in page.links()
    assert f"/logPage/?appId={app.id}&executorId=1&logType=stderr" in page.links()


def test_unlimited_application() -> None:
    app = app_view(cores_max=None)
    page = look(browser(cluster_view(active_apps=(app,))), f"/app/?appId={app.id}")
    assert page.definition("Cores").startswith("Unlimited (1 granted)")
    assert page.definition("Executor Limit").startswith("Unlimited (1 granted)")


def test_driver_page_names_the_drivers_after_which_it_starts() -> None:
    parents = (driver_view(1).id, driver_view(3).id)
    child = driver_view(
        2, state=DriverState.SUBMITTED, worker_id="", attempts=(), after=parents, after_end="any", awaits=parents[:1]
    )
    page = look(browser(cluster_view(active_drivers=(driver_view(1), child))), f"/driver/?driverId={child.id}")
    assert page.definition("Starts after").startswith(f"{parents[0]} has not ended , {parents[1]} (any)")
    assert f"It waits: it starts after {parents[0]} (RUNNING)" in page.text


def test_driver_page_lists_attempts_newest_first() -> None:
    first = AttemptView(
        number=1, worker_id="worker-gone", state=DriverState.FAILED, started=SUBMITTED, exit=Exit(code=3)
    )
    driver = driver_view(attempts=(first, msgspec.structs.replace(driver_view().attempts[0], number=2)))
    page = look(browser(cluster_view(active_drivers=(driver,))), f"/driver/?driverId={driver.id}")
    newest, oldest = page.tables["Attempts"][1:]
    assert (newest[0], newest[1], newest[2]) == ("2", "host1:7001", "RUNNING")
    assert (oldest[0], oldest[1], oldest[5]) == ("1", "worker-gone", "exit 3")
    assert f"/logPage/?driverId={driver.id}&logType=stdout" in page.links()


@pytest.mark.parametrize("path", ["/app/?appId=app-x", "/app/", "/driver/?driverId=driver-x", "/driver/"])
def test_no_such_job(path: str) -> None:
    response = browser().get(path)
    assert response.status_code == 404
    assert "No driver with ID" in response.text or "No running application with ID" in response.text


# --- hostile names ---


@pytest.mark.parametrize(
    "path", ["/", "/app/?appId=app-20140513164640-0001", "/driver/?driverId=driver-20140513164640-0001"]
)
def test_hostile_names_stay_text(path: str) -> None:
    worker = worker_view(host=HOSTILE, webui_url="javascript:alert(1)")
    cluster = cluster_view(
        workers=(worker,),
        active_apps=(app_view(name=HOSTILE, user=HOSTILE, reason=HOSTILE, ui_url="javascript:alert(1)"),),
        active_drivers=(driver_view(name=HOSTILE, main=HOSTILE, main_class=HOSTILE, args=(HOSTILE,), reason=HOSTILE),),
        warnings=(HOSTILE,),
    )
    page = look(browser(cluster), path)
    assert HOSTILE in page.text
    assert page.foreign() == []
    assert not [link for link in page.links() if "javascript" in link]


def test_hostile_query_stays_text() -> None:
    response = browser().get("/app/", query_string={"appId": HOSTILE})
    assert response.status_code == 404
    assert Page(response.text).foreign() == []


def test_a_busy_master_is_said_to_be_busy() -> None:
    def busy() -> ClusterView:
        raise Unreachable("the daemon is too busy to answer: try again")

    client = make_app(busy, Control()).test_client()
    assert client.get("/").status_code == 503
    assert client.get("/json/").get_json() == {"error": "the daemon is too busy to answer: try again", "status": 503}


def test_dead_workers_are_not_counted_as_unknown() -> None:
    states = (WorkerState.UNKNOWN, WorkerState.DECOMMISSIONED)
    workers = tuple(worker_view(number, state=state) for number, state in enumerate(states))
    page = look(browser(cluster_view(workers=workers)))
    assert page.definition("Workers").startswith("0 Alive 0 Dead, 1 Decommissioned, 1 Unknown")


def test_datadog_finds_the_applications_own_pages() -> None:
    """Its check reads the application's page, and wants exactly one link with this text."""
    app = app_view(ui_url="http://driver1:4040")
    text = browser(cluster_view(active_apps=(app,))).get(f"/app/?appId={app.id}").text
    assert re.findall(r'<a [^>]*href="([^"]*)"[^>]*>Application Detail UI</a>', text) == ["http://driver1:4040"]
    assert text.count("Application Detail UI") == 1
    assert "Application Detail UI" not in browser().get(f"/app/?appId={app.id}").text, "it has no pages of its own"


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("post", "/workers/kill/?host=host1", 501, "stoker drain HOST:PORT"),
    ],
)
def test_what_sparks_pages_have_and_ours_have_not_names_what_to_do(
    method: str, path: str, status: int, said: str
) -> None:
    response = getattr(browser(), method)(path)
    assert response.status_code == status
    assert said in html.unescape(response.text)
