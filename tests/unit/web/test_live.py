"""What makes pages live: tags that count changes, bodies made once for all, tables that hold at any size, timelines."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from stoker.core.model.states import DriverState
from stoker.core.model.views import ArrayView, AttemptView, ClusterView, Sample
from stoker.security.roles import AccessRole
from stoker.web import live
from stoker.web.access.policy import Access
from stoker.web.master import make_app
from stoker.web.timeline import LEAST, MOST, driver_timeline
from tests.support.web import SUBMITTED, Control, Page, app_view, cluster_view, driver_view, worker_view


class Site:
    """A dashboard whose cluster a test may change."""

    def __init__(self, cluster: ClusterView, **options: Any) -> None:
        self.cluster = cluster
        self.control = Control(**options)
        access = Access(anonymous=AccessRole.OPERATOR)
        self.app = make_app(lambda: self.cluster, self.control, access=access)
        self.browser: FlaskClient = self.app.test_client()

    def tag(self, path: str = "/") -> str:
        return self.browser.get(path).headers["ETag"]

    def status(self, tag: str, path: str = "/") -> int:
        return self.browser.get(path, headers={"If-None-Match": tag}).status_code

    def page(self, path: str) -> Page:
        return Page(self.browser.get(path).text)


# --- tags ---


def test_heartbeats_change_nothing_else_does() -> None:
    site = Site(cluster_view())
    tag = site.tag()
    assert site.status(tag) == 304
    assert site.status('"of-another-master"') == 200
    beating = tuple(msgspec.structs.replace(worker, last_heartbeat=SUBMITTED + 9) for worker in site.cluster.workers)
    site.cluster = msgspec.structs.replace(site.cluster, workers=beating)
    assert site.status(tag) == 304
    assert (
        site.status(site.tag("/worker/?workerId=" + worker_view().id), "/worker/?workerId=" + worker_view().id) == 304
    )
    for change in (
        {"workers": beating[:1]},
        {"active_drivers": ()},
        {"completed_apps": ()},
        {"warnings": ("careful",)},
    ):
        site.cluster = msgspec.structs.replace(site.cluster, **change)
        assert site.status(tag) == 200, change
        tag = site.tag()


def test_a_workers_page_shows_its_heartbeats() -> None:
    site = Site(cluster_view())
    path = f"/worker/?workerId={worker_view().id}"
    tag = site.tag(path)
    site.cluster = cluster_view(workers=(worker_view(last_heartbeat=SUBMITTED + 9),))
    assert site.status(tag, path) == 200


def test_a_page_is_made_once_for_all_but_each_has_his_own_token(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = live.LivePages._body

    def counted(self: live.LivePages, key: str, make: Any) -> str:
        return original(self, key, lambda: made.append(key) or make())

    monkeypatch.setattr(live.LivePages, "_body", counted)
    site = Site(cluster_view())
    visitors = [site.app.test_client() for _ in range(3)]
    tokens = {Page(visitor.get("/").text).forms["kill-driver"][1]["csrfToken"] for visitor in visitors}
    assert len(made) == 1
    assert len(tokens) == 3
    for visitor in visitors:
        action, fields = Page(visitor.get("/").text).press(driver_view().id)
        assert visitor.post(action, data=fields).status_code == 303
    assert len(site.control.killed) == 3


def test_a_body_is_reused_for_some_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows for how long jobs have been running."""
    now = [1000.0]
    monkeypatch.setattr("stoker.web.live.time.monotonic", lambda: now[0])
    pages = live.LivePages(cluster_view)
    assert pages._body("page", lambda: "first") == "first"
    now[0] += live.BODY_AGE - 1
    assert pages._body("page", lambda: "second") == "first"
    now[0] += 2
    assert pages._body("page", lambda: "third") == "third"


def test_bodies_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PAGES_KEPT", 2)
    pages = live.LivePages(cluster_view)
    for number in range(10):
        pages._body(str(number), lambda: "body")
    assert list(pages._bodies) == ["8", "9"]


def test_many_browsers_each_look_less_often() -> None:
    audience = live.Audience()
    assert audience.pace("first", 0.0) < 1
    for number in range(199):
        pace = audience.pace(str(number), 0.0)
    assert pace == audience.pace("first", 1.0) == 200 / live.LOOKS
    for number in range(2000):
        pace = audience.pace(str(number), 1.0)
    assert pace == live.SLOWEST, "nobody can stop the others' pages"
    assert audience.pace("first", 2 + live.SEEN_FOR) < 1, "the others are gone"
    site = Site(cluster_view())
    assert float(site.browser.get("/").headers["Look-After"]) < 1


# --- tables ---


def crowd() -> ClusterView:
    return cluster_view(
        active_drivers=tuple(
            driver_view(number, name=f"job {number}", cores=number % 7, user="eve" if number == 77 else "ada")
            for number in range(100)
        )
    )


def rows(page: Page, table: str = "Running Drivers") -> list[str]:
    return [row[0].split()[0][-4:] for row in page.tables.get(table, [])[1:]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("drivers.q=eve", ["0077"]),
        ("drivers.q=EVE+job+77", ["0077"]),
        ("drivers.q=-0042", ["0042"]),
        ("drivers.q=nobody", []),
        ("drivers.state=KILLED", []),
        ("drivers.page=4", [f"{number:04}" for number in range(75, 100)]),
        ("drivers.page=999", [f"{number:04}" for number in range(75, 100)]),
        ("drivers.page=-1&drivers.sort=-id", [f"{number:04}" for number in range(99, 74, -1)]),
        ("drivers.page=x&drivers.q=eve", ["0077"]),
        ("drivers.sort=nothing&drivers.q=eve", ["0077"]),
        ("drivers.sort=cores", [f"{number:04}" for number in (*range(0, 100, 7), *range(1, 71, 7))]),
    ],
)  # fmt: skip
def test_tables_are_searched_filtered_sorted_and_turned(query: str, found: list[str]) -> None:
    assert rows(Site(crowd()).page(f"/?{query}")) == found


def test_each_table_keeps_what_was_asked_of_the_others() -> None:
    page = Site(crowd()).page("/?drivers.q=job&drivers.page=2&workers.sort=-cores")
    assert "/?drivers.q=job&drivers.page=3&workers.sort=-cores#drivers" in page.links()
    assert "/?drivers.q=job&drivers.page=2&workers.sort=id#workers" in page.links()
    assert ("input", {"type": "hidden", "name": "workers.sort", "value": "-cores"}) in page.tags


def test_what_is_asked_stays_text() -> None:
    bad = '"><script>alert(1)</script>'
    response = Site(crowd()).browser.get("/", query_string={"drivers.q": bad, "drivers.state": bad, bad: bad})
    assert response.status_code == 200
    assert Page(response.text).foreign() == []


# --- charts ---


def test_samples_after_a_moment() -> None:
    sample = Sample(
        at=5.0, workers=1, cores=8, cores_used=3, memory_mib=2, memory_used_mib=1, drivers=1, drivers_waiting=4,
        apps=0, apps_waiting=1,
    )  # fmt: skip
    site = Site(cluster_view(), samples=(sample, msgspec.structs.replace(sample, at=10.0)))
    everything = site.browser.get("/history/").get_json()
    assert everything["at"] == [5.0, 10.0]
    assert everything["drivers_waiting"] == [4, 4]
    assert site.browser.get("/history/?since=5").get_json()["at"] == [10.0]
    assert site.browser.get("/history/?since=x").status_code == 400


# --- timelines ---


def attempt(number: int, start: float, end: float, state: DriverState = DriverState.FAILED) -> AttemptView:
    return AttemptView(
        number=number, worker_id="w", state=state, started=SUBMITTED + start, ended=SUBMITTED + end if end else 0.0
    )


def test_a_timeline_has_waiting_and_running() -> None:
    driver = driver_view(attempts=(attempt(1, 10, 40), attempt(2, 60, 0, DriverState.RUNNING)))
    line = driver_timeline(driver, SUBMITTED + 100)
    shown = [(bar.label, bar.state, round(bar.start), round(bar.width), round(bar.seconds)) for bar in line.bars]
    assert shown == [
        ("waiting", "SUBMITTED", 0, 10, 10),
        ("attempt 1", "FAILED", 10, 30, 30),
        ("waiting", "SUBMITTED", 40, 20, 20),
        ("attempt 2", "RUNNING", 60, 40, 40),
    ]


def test_a_timeline_of_an_array_that_has_begun_does_not_say_that_it_waits() -> None:
    array = ArrayView(indices="1-4", tasks=4, waiting=4)
    for view, label in (
        (driver_view(state=DriverState.SUBMITTED, attempts=(), array=array), "waiting"),
        (driver_view(attempts=(), array=msgspec.structs.replace(array, waiting=1, running=3)), "tasks"),
        (driver_view(state=DriverState.FAILED, ended=SUBMITTED + 5, attempts=(), array=array), "tasks"),
    ):
        assert [bar.label for bar in driver_timeline(view, SUBMITTED + 9).bars] == [label]


def test_a_timeline_of_many_attempts_shows_the_latest_and_stays_inside() -> None:
    driver = driver_view(attempts=tuple(attempt(number, 3 * number, 3 * number + 2.5) for number in range(1, 100)))
    line = driver_timeline(driver, SUBMITTED + 400)
    assert (len(line.bars), line.left_out) == (MOST, 60 + 1)
    for bar in line.bars:
        assert 0 <= bar.start <= 100 - LEAST
        assert LEAST <= bar.width <= 100 - bar.start + 1e-9


def test_clocks_that_disagree_break_no_timeline() -> None:
    driver = driver_view(attempts=(attempt(1, -50, -60),), ended=SUBMITTED - 70)
    assert driver_timeline(driver, SUBMITTED).bars
    assert Site(cluster_view(active_apps=(app_view(submitted=9e9),))).browser.get("/").status_code == 200
