"""A person at the dashboard of a real cluster: start, watch, follow, kill, drain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, Opener, shoot
from tests.support.cluster import Cluster

expect.set_options(timeout=PATIENCE)
pytestmark = pytest.mark.cluster

COUNTS = """
import sys, time
for number in range(100_000):
    print(f"step {number}", flush=True)
    if number == 0:
        print("\\x1b[31mcareful\\x1b[0m <b>", file=sys.stderr, flush=True)
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home: Path = tmp_path_factory.mktemp("browser")
    with Cluster(home, workers=1, cores=2) as running:
        yield running


def test_a_driver_is_watched_followed_and_killed(shared: Cluster, open_page: Opener) -> None:
    page = open_page(f"http://127.0.0.1:{shared.webui_port}/")
    expect(page.locator("#workers tbody tr")).to_have_count(1)
    page.evaluate("window.neverReloaded = true")

    driver = shared.submit("--name", "counts", "--driver-cores", "1", shared.script("counts.py", COUNTS))
    row = page.locator(f"#{driver}")
    expect(row.locator(".state")).to_have_text("RUNNING")
    expect(page.locator("#charts canvas")).to_have_count(3)
    shoot(page, "master")
    assert page.evaluate("window.neverReloaded"), "the row came without a reload"

    row.get_by_role("link", name=driver).click()
    expect(page.locator("#tail-stdout")).to_contain_text("step 20")
    expect(page.locator("#tail-stderr")).to_contain_text("careful <b>")
    shoot(page, "driver")

    page.get_by_role("link", name="whole log").first.click()
    log = page.locator("#log")
    expect(log).to_contain_text("step 0\n")
    shown = len(log.inner_text().splitlines())
    expect(page.get_by_role("switch", name="Follow")).to_be_checked()
    expect(log).to_contain_text(f"step {shown + 20}\n")
    page.get_by_role("searchbox").fill("STEP 3")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("mark.here")).to_have_count(1)
    shoot(page, "log")

    page.goto(f"http://127.0.0.1:{shared.webui_port}/")
    page.locator(f"#{driver}").get_by_role("button", name=f"Kill {driver}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Kill counts?")
    expect(dialog).to_contain_text(driver)
    dialog.get_by_role("button", name="Keep it running").click()
    expect(dialog).to_be_hidden()
    assert shared.status(driver)["state"] == "RUNNING"
    page.locator(f"#{driver}").get_by_role("button", name=f"Kill {driver}").click()
    dialog.get_by_role("button", name="Kill it").click()
    expect(page.locator("#toast")).to_contain_text(f"Kill request for {driver} submitted")
    expect(page.locator(f"#completed-drivers #{driver} .state")).to_have_text("KILLED")
    assert shared.status(driver)["state"] == "KILLED"


def test_a_worker_is_drained_and_works_again(shared: Cluster, open_page: Opener) -> None:
    page = open_page(f"http://127.0.0.1:{shared.webui_port}/")
    page.locator("#workers tbody a").first.click()
    page.get_by_role("button", name="Drain").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator(".headline .state")).to_have_text("ALIVE")
    page.get_by_role("button", name="Drain").click()
    dialog.get_by_label("Stop what still runs here after").fill("tomorrow")
    dialog.get_by_role("button", name="Drain it").click()
    expect(dialog).to_be_visible()  # that is not a duration
    dialog.get_by_label("Stop what still runs here after").fill("2h")
    dialog.get_by_label("Reason").fill("new disk")
    dialog.get_by_role("button", name="Drain it").click()
    expect(dialog).not_to_be_visible()
    expect(page.locator(".headline")).to_contain_text("Reason: new disk. What still runs is stopped at")
    expect(page.locator(".headline .state")).to_have_text("DECOMMISSIONED")
    driver = shared.submit("/bin/true")
    overview = open_page(f"http://127.0.0.1:{shared.webui_port}/driver/?driverId={driver}")
    expect(overview.locator("main")).to_contain_text("It waits: every live worker is draining")
    page.get_by_role("button", name="Let it work again").click()
    expect(page.locator(".headline .state")).to_have_text("ALIVE")
    expect(overview.locator(".headline .state")).to_have_text("FINISHED")


def test_what_a_person_does_stays_when_the_cluster_changes(shared: Cluster, open_page: Opener) -> None:
    for _ in range(7):  # the table is long enough for its search to appear
        shared.submit("--driver-cores", "2", "/bin/true")
    page = open_page(f"http://127.0.0.1:{shared.webui_port}/", viewport={"width": 1200, "height": 500})
    search = page.get_by_role("searchbox", name="Search Completed Drivers")
    expect(search).to_be_visible()
    page.locator("#workers summary").click()
    page.evaluate(
        """() => {
          const cell = document.querySelector("#completed-drivers td");
          getSelection().selectAllChildren(cell);
          scrollTo(0, 300);
        }"""
    )
    before = page.evaluate("[getSelection().toString(), scrollY]")
    driver = shared.submit("--driver-cores", "2", "/bin/true")
    expect(page.locator(f"#completed-drivers #{driver}")).to_be_attached()
    after = page.evaluate("[getSelection().toString(), scrollY]")
    assert after[0] == before[0] != ""
    assert abs(after[1] - before[1]) < 80, "the view stays where it was, a row or two aside"
    assert page.locator("#workers").get_attribute("open") is None

    search.press_sequentially(driver[-6:], delay=20)
    expect(page.locator("#completed-drivers tbody tr")).to_have_count(1)
    expect(search).to_be_focused()
    expect(search).to_have_value(driver[-6:])


def test_a_master_that_is_away_is_said_to_be(tmp_path: Path, open_page: Opener) -> None:
    with Cluster(tmp_path, workers=1) as cluster:
        page = open_page(f"http://127.0.0.1:{cluster.webui_port}/")
        expect(page.locator("#workers tbody tr")).to_have_count(1)
        cluster.master.kill()
        expect(page.locator("#offline")).to_contain_text("does not answer")
        expect(page.locator("#workers tbody tr")).to_have_count(1)
        cluster.master.start()
        expect(page.locator("#offline")).to_be_hidden()
        expect(page.locator("#workers .state")).to_have_text("ALIVE")
