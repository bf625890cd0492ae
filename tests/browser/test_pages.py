"""Pages of made-up clusters, large, empty and strange ones, as people with all kinds of screens, settings and needs see
them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from stoker.core.model.messages import LogData, ReadLog
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, MasterState, WorkerState
from stoker.core.model.values import Exit
from stoker.core.model.views import AttemptView, ClusterView, Sample
from stoker.security.roles import AccessRole
from stoker.security.tokens import TokenFile
from stoker.web.access.policy import Access
from stoker.web.master import make_app as master_app
from stoker.web.serve import LazyWebServer
from stoker.web.worker import make_app as worker_app
from stoker.worker.jobs.logs import LogReader
from tests.browser.conftest import PATIENCE, Opener, shoot
from tests.support.web import (
    SUBMITTED,
    Control,
    app_view,
    cluster_view,
    driver_view,
    executor_view,
    worker_page,
    worker_view,
)

expect.set_options(timeout=PATIENCE)
HOST = "127.0.0.1"
PHONE = {"width": 360, "height": 740}


@dataclass
class Site:
    """A dashboard on a port, over ``view``, which may be replaced at any time."""

    view: ClusterView
    access: Access = field(default_factory=lambda: Access(anonymous=AccessRole.OPERATOR))
    logs: Callable[[ReadLog], LogData] | None = None

    def __post_init__(self) -> None:
        self.control = Control(samples=tuple(sample(number) for number in range(720)))
        if self.logs is not None:
            self.control.read_log = self.logs  # type: ignore[method-assign, assignment]
        self.server = LazyWebServer(HOST, 0, lambda: master_app(lambda: self.view, self.control, access=self.access))
        self.url = f"http://{HOST}:{self.server.port}"


@contextlib.contextmanager
def serving(site: Site) -> Iterator[Site]:
    site.server.start()
    try:
        yield site
    finally:
        site.server.close()


def sample(number: int) -> Sample:
    used = 40 + number % 60
    return Sample(
        at=SUBMITTED + 5 * number, workers=12, cores=128, cores_used=used, memory_mib=512 * 1024,
        memory_used_mib=used * 3000, drivers=used // 3, drivers_waiting=number % 9, apps=2, apps_waiting=0,
    )  # fmt: skip


def busy() -> ClusterView:
    """A cluster with everything that pages can show at once."""
    first = AttemptView(
        number=1, worker_id="worker-gone", state=DriverState.FAILED, started=SUBMITTED + 2, ended=SUBMITTED + 60,
        exit=Exit(code=3, reason="it gave up"),
    )  # fmt: skip
    again = AttemptView(
        number=2, worker_id=worker_view().id, state=DriverState.RUNNING, started=SUBMITTED + 64, pid=4711
    )
    lost = executor_view(1, state=ExecutorState.LOST, started=SUBMITTED, ended=SUBMITTED + 9, exit=Exit(reason="lost"))
    return cluster_view(
        workers=(*(worker_view(number) for number in range(1, 9)), worker_view(9, state=WorkerState.DEAD),
                 worker_view(10, draining=True)),
        active_drivers=(
            driver_view(1, attempts=(first, again), supervise=True),
            driver_view(2, state=DriverState.SUBMITTED, worker_id="", attempts=(), cores=64),
            *(driver_view(number) for number in range(3, 9)),
        ),
        active_apps=(
            app_view(1, removed_executors=(lost,), executors=(executor_view(0, started=SUBMITTED + 1),)),
            app_view(4, state=ApplicationState.WAITING, executors=(), cores_per_executor=32),
        ),
        warnings=("spark.authenticate is false: anybody who reaches this port can run programs here",),
    )  # fmt: skip


def crowd() -> ClusterView:
    return cluster_view(
        workers=tuple(worker_view(number, cores_used=number % 9) for number in range(10_000)),
        active_drivers=tuple(driver_view(number, name=f"job-{number}") for number in range(10_000)),
    )


@pytest.fixture
def output(tmp_path: Path) -> Callable[[ReadLog], LogData]:
    folder = tmp_path / driver_view(1).id
    folder.mkdir()
    lines = [f"{number:07} line of output\n" for number in range(200_000)]
    lines[100_000] = "0100000 the NEEDLE\n"
    (folder / "stdout").write_text("".join(lines))
    (folder / "stderr").write_text("")
    return LogReader(tmp_path, is_over=lambda *_: True, reply=lambda *_: None).read


@pytest.fixture
def site(output: Callable[[ReadLog], LogData]) -> Iterator[Site]:
    with serving(Site(busy(), logs=output)) as running:
        yield running


PATHS = {
    "overview": "/",
    "none-found": "/?workers.q=nobody",
    "driver": f"/driver/?driverId={driver_view(1).id}",
    "waiting-driver": f"/driver/?driverId={driver_view(2).id}",
    "application": f"/app/?appId={app_view(1).id}",
    "worker-of-master": f"/worker/?workerId={worker_view(10).id}",
    "log-page": f"/logPage/?driverId={driver_view(1).id}&logType=stdout",
    "log-search": f"/logPage/?driverId={driver_view(1).id}&logType=stdout&find=needle",
    "missing": "/driver/?driverId=driver-x",
}


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {[node['target'] for node in rule['nodes']][:3]}"
        for rule in found
        if rule["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(site: Site, open_page: Opener, scheme: str) -> None:
    page = open_page(site.url, color_scheme=scheme, reduced_motion="reduce")
    problems = {}
    for name, path in PATHS.items():
        page.goto(site.url + path)
        if name == "overview":
            expect(page.locator("#charts canvas")).to_have_count(3)
        shoot(page, f"{name}-{scheme}")
        problems[name] = serious(page)
    assert problems == {name: [] for name in PATHS}


@pytest.mark.parametrize("name", PATHS)
def test_pages_fit_on_a_phone(site: Site, open_page: Opener, name: str) -> None:
    page = open_page(site.url + PATHS[name], viewport=PHONE, is_mobile=True)
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    shoot(page, f"{name}-phone")
    assert widths[0] <= widths[1] == PHONE["width"]


def test_colours_are_chosen_and_kept(site: Site, open_page: Opener) -> None:
    page = open_page(site.url, color_scheme="light")
    button = page.locator("#theme")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(paper)
    expect(button).to_have_accessible_name("Colours: as the system")
    button.click()
    button.click()
    expect(button).to_have_accessible_name("Colours: dark")
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    expect(button).to_have_accessible_name("Colours: dark")
    assert page.evaluate(paper) == dark


def test_a_crowd_is_searched_sorted_and_turned(open_page: Opener) -> None:
    with serving(Site(crowd())) as site:
        page = open_page(site.url)
        page.evaluate("window.neverReloaded = true")
        rows = page.locator("#drivers tbody tr")
        expect(rows).to_have_count(25)
        shoot(page, "crowd")
        page.get_by_role("navigation", name="Pages of Running Drivers").get_by_role("link", name="Last").click()
        expect(page.locator("#drivers .pages")).to_contain_text("9976-10000 of 10000")
        search = page.get_by_role("searchbox", name="Search Running Drivers")
        search.press_sequentially("job-777", delay=20)
        expect(rows).to_have_count(11)
        expect(search).to_have_value("job-777")
        page.locator("#drivers").get_by_role("link", name="Submission ID").click()
        expect(page.locator("#drivers th").first).to_have_attribute("aria-sort", "ascending")
        page.locator("#drivers").get_by_role("link", name="Submission ID").click()
        expect(page.locator("#drivers th").first).to_have_attribute("aria-sort", "descending")
        expect(rows.first).to_contain_text("-7779")
        page.locator("#workers").get_by_role("link", name="Cores").click()
        expect(page.locator("#workers tbody tr").first).to_contain_text("(0 Used)")
        expect(rows).to_have_count(11)
        assert page.evaluate("window.neverReloaded")
        page.go_back()
        expect(page.locator("#workers th").nth(3)).not_to_have_attribute("aria-sort", "ascending")


def test_everything_can_be_done_with_the_keyboard(site: Site, open_page: Opener) -> None:
    page = open_page(site.url)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    kill, keep = (page.get_by_role("button", name=name) for name in (f"Kill {driver_view(1).id}", "Keep it running"))
    kill.focus()
    page.keyboard.press("Enter")
    expect(keep).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(kill).to_be_focused()
    assert site.control.killed == []
    page.keyboard.press("Enter")
    expect(keep).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("is being killed")
    assert site.control.killed == [driver_view(1).id]


def test_everything_works_without_scripts(site: Site, open_page: Opener) -> None:
    page = open_page(site.url, java_script_enabled=False)
    page.get_by_role("searchbox", name="Search Workers").fill("host3")
    page.locator("#workers").get_by_role("button", name="Show").click()
    expect(page.locator("#workers tbody tr")).to_have_count(1)
    page.locator("#workers").get_by_role("link", name="Worker Id").click()
    expect(page.locator("#workers tbody tr")).to_have_count(1)
    page.get_by_role("button", name=f"Kill {driver_view(1).id}").click()
    assert site.control.killed == [driver_view(1).id]
    page.goto(site.url + PATHS["log-search"])
    expect(page.locator("mark.here")).to_have_text("NEEDLE")


def test_output_is_read_backwards_and_searched(site: Site, open_page: Opener) -> None:
    page = open_page(site.url + PATHS["log-page"])
    log = page.locator("#log")
    expect(log).to_contain_text("0199999 line")
    page.get_by_role("link", name="Load More").click()
    expect(log).to_contain_text("0185000 line")
    page.get_by_role("searchbox").fill("needle")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("mark.here")).to_have_text("NEEDLE")
    expect(page.locator("mark.here")).to_be_in_viewport()
    page.get_by_role("link", name="Earlier match").click()
    expect(page.locator("main .notice")).to_contain_text("is not found beyond this place")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == f"{driver_view(1).id}.stdout.txt"
    assert download.value.path().read_text().count("\n") == 200_000


def test_a_refused_change_says_why(site: Site, open_page: Opener) -> None:
    from stoker.errors import Refused

    page = open_page(site.url)
    site.control.error = Refused("the master waits: its records cannot be written")
    page.get_by_role("button", name=f"Kill {driver_view(1).id}").click()
    page.get_by_role("button", name="Kill it").click()
    expect(page.locator("#toast .bad")).to_contain_text("its records cannot be written")


def test_an_empty_cluster_and_a_standby_lead_on(open_page: Opener) -> None:
    with serving(Site(ClusterView(url="spark://h:7077", state=MasterState.ALIVE, epoch=1, version="0.1.0"))) as site:
        page = open_page(site.url)
        expect(page.locator("#workers .empty")).to_contain_text("stoker worker spark://h:7077")
        shoot(page, "empty")
        assert serious(page) == []
        standby = ClusterView(url="spark://h:7077", state=MasterState.STANDBY, epoch=0, version="0.1.0")
        site.view = standby
        expect(page.locator("main")).to_contain_text("There is no leader yet")
        shoot(page, "standby")
        with serving(Site(busy())) as leader:
            site.view = msgspec.structs.replace(standby, leader_url="spark://l:7077", leader_webui_url=leader.url)
            page.wait_for_url(f"{leader.url}/")
            expect(page.locator("#workers tbody tr")).to_have_count(10)


def test_a_page_goes_to_the_next_leader_when_its_master_is_gone(open_page: Opener) -> None:
    driver = f"/driver/?driverId={driver_view(1).id}"
    standby = ClusterView(url="spark://n:7077", state=MasterState.STANDBY, epoch=0, version="0.1.0")
    with serving(Site(standby)) as other, contextlib.ExitStack() as until_killed:
        site = until_killed.enter_context(serving(Site(busy())))
        both = (site.url, other.url)
        page, fresh = open_page(site.url + driver), open_page(other.url + driver)
        with page.expect_event("load"):  # the page is loaded again, with a policy that names the other master
            site.view = msgspec.structs.replace(site.view, dashboards=both)
        expect(fresh.locator(".headline")).to_contain_text("knows no leader yet")
        until_killed.close()
        expect(page.locator("#offline")).to_contain_text(f"Other masters: 127.0.0.1:{other.server.port}")
        assert page.url == site.url + driver, "nobody leads yet"
        shoot(page, "no-leader")

        other.view = msgspec.structs.replace(busy(), dashboards=both)
        page.wait_for_url(other.url + driver)
        expect(page.locator("#toast")).to_contain_text("you see the new leader")
        expect(fresh.locator("h1")).to_contain_text("Driver")
        expect(page.locator("h1")).to_contain_text("Driver")


def test_logging_in_and_out(tmp_path: Path, open_page: Opener) -> None:
    tokens = TokenFile(tmp_path / "keys")
    secret = tokens.create("ada", AccessRole.OPERATOR)
    with serving(Site(busy(), access=Access(anonymous=AccessRole.NONE, tokens=tokens))) as site:
        page = open_page(f"{site.url}/?workers.q=host3")
        expect(page.get_by_label("Token")).to_be_focused()
        assert serious(page) == []
        shoot(page, "login")
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("unknown")
        page.get_by_label("Token").fill(secret)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#workers tbody tr")).to_have_count(1)
        expect(page.locator("span.who")).to_have_text("ada")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token")).to_be_visible()


def test_the_workers_own_dashboard(output: Callable[[ReadLog], LogData], open_page: Opener) -> None:
    view = worker_page()
    server = LazyWebServer(HOST, 0, lambda: worker_app(lambda: view, output))
    server.start()
    try:
        page = open_page(f"http://{HOST}:{server.port}")
        expect(page.get_by_role("heading", name="Running Drivers")).to_be_visible()
        shoot(page, "worker")
        assert serious(page) == []
        page.goto(f"http://{HOST}:{server.port}{PATHS['log-page']}")
        expect(page.locator("#log")).to_contain_text("0199999 line")
        assert serious(page) == []
    finally:
        server.close()
