"""Tables of 3,000 drivers with all kinds of names and reasons, at the widths of people's screens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, expect

from stoker.core.model.messages import LogData
from stoker.core.model.states import DriverState, WorkerState
from stoker.core.model.values import Exit
from stoker.core.model.views import AttemptView, ClusterView, DriverView
from stoker.security.roles import AccessRole
from stoker.security.tokens import TokenFile
from stoker.web.access.policy import Access
from tests.browser.conftest import PATIENCE, Opener, shoot
from tests.browser.test_pages import PATHS, Site, busy, serious, serving
from tests.support.web import SUBMITTED, app_view, cluster_view, driver_view, worker_view

expect.set_options(timeout=PATIENCE)
NAMES = (
    "etl", "nightly-export-of-all-customers-to-the-warehouse-" + "x" * 60, "דוח מכירות לילי", "📊 Bericht für März 🚀",
    "a b  c", "ETL.sh", "日次バッチ処理",
)  # fmt: skip
REASONS = (
    "Command exited with code 1",
    "worker-20260101000000-host1-7001 refused it: cannot make its directory: " + "no space left on device, " * 20,
    "x" * 400,
    "נכשל",
)
LINES = (
    "ValueError: no such table", "", "java.lang.IllegalStateException: " + "at.com.example.Deep." * 9,
    "שגיאה: אין חיבור", "💥",
)  # fmt: skip
OVER = """() => [...document.querySelectorAll("td, th")].filter((cell) => {
  if (!cell.offsetParent) return false;
  const edge = cell.getBoundingClientRect().right + 1;
  return [...cell.children].some((part) => part.getBoundingClientRect().right > edge);
}).map((cell) => cell.textContent.trim().slice(0, 80))"""


def ended(number: int) -> DriverView:
    line, reason = LINES[number % len(LINES)], REASONS[number % len(REASONS)]
    started = SUBMITTED + number
    attempt = AttemptView(
        number=1, worker_id=worker_view(1 + number % 9).id, state=DriverState.FAILED, started=started,
        ended=started + 3 * number, exit=Exit(code=1 + number % 200, reason=reason, last_error_line=line),
    )  # fmt: skip
    return driver_view(
        number, name=NAMES[number % len(NAMES)], user=("ada", "nightly-batch-user", "")[number % 3], reason=reason,
        state=DriverState.FAILED, ended=attempt.ended, attempts=(attempt,), worker_id=attempt.worker_id,
    )  # fmt: skip


def many() -> ClusterView:
    waiting = (driver_view(5000 + n, name=NAMES[n], user="ada", state=DriverState.SUBMITTED, attempts=(), cores=64,
                           worker_id="") for n in range(len(NAMES)))  # fmt: skip
    running = (driver_view(6000 + n, name=NAMES[n], user="eve") for n in range(len(NAMES)))
    return cluster_view(
        workers=tuple(worker_view(number) for number in range(1, 9)),
        active_drivers=(*running, *waiting),
        completed_drivers=tuple(ended(number) for number in range(3000)),
        active_apps=tuple(app_view(number, name=name, reason=REASONS[1]) for number, name in enumerate(NAMES)),
    )


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(many())) as running:
        yield running


def over(page: Page) -> list[str]:
    found: list[str] = page.evaluate(OVER)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1024, 1280, 1920])
def test_nothing_runs_over_the_next_column(site: Site, open_page: Opener, width: int, scheme: str) -> None:
    page = open_page(site.url, viewport={"width": width, "height": 900}, color_scheme=scheme)
    expect(page.locator("#completed-drivers tbody tr")).to_have_count(25)
    shoot(page, f"tables-{width}-{scheme}")
    assert over(page) == []
    widths = page.evaluate("[...document.querySelectorAll('.scroll')].map((box) => [box.scrollWidth, box.clientWidth])")
    assert all(content <= room for content, room in widths), f"a table is wider than its card: {widths}"
    assert serious(page) == []
    page.goto(f"{site.url}/driver/?driverId={ended(2).id}")
    shoot(page, f"failed-driver-{width}-{scheme}")
    assert over(page) == []


@pytest.mark.parametrize("name", ["driver", "application", "worker-of-master"])
@pytest.mark.parametrize("width", [1024, 1280])
def test_other_tables_fit_too(open_page: Opener, name: str, width: int) -> None:
    lost = busy()
    with serving(Site(msgspec.structs.replace(lost, completed_drivers=(ended(1),)))) as site:
        page = open_page(site.url + PATHS[name], viewport={"width": width, "height": 900})
        shoot(page, f"fits-{name}-{width}")
        assert over(page) == []


def test_times_are_in_the_viewers_zone_and_utc_when_pointed_at(site: Site, open_page: Opener) -> None:
    page = open_page(site.url, timezone_id="Asia/Kolkata")
    expect(page.locator("#zone")).to_have_text("Times: UTC+5:30")
    shown = page.locator("#completed-drivers tbody tr time[datetime]").first
    expect(shown).to_have_text("2014-05-13 23:13:19")
    expect(shown).to_have_attribute("title", "2014-05-13 17:43:19 UTC")
    expect(page.locator("#charts canvas")).to_have_count(3)
    expect(page.locator(".u-legend").first).to_contain_text("Time (UTC+5:30)")
    site.view = msgspec.structs.replace(site.view, completed_drivers=(ended(7),))
    expect(shown).to_have_text("2014-05-13 22:23:27")
    plain = open_page(site.url, timezone_id="Asia/Kolkata", java_script_enabled=False)
    expect(plain.locator("#completed-drivers time").first).to_have_text("2014-05-13 16:53:27 UTC")


def test_the_question_before_a_kill_names_the_job(site: Site, open_page: Opener) -> None:
    page = open_page(site.url)
    page.get_by_role("button", name=f"Kill {driver_view(6003).id}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Kill 📊 Bericht für März 🚀?")
    expect(dialog).to_contain_text(driver_view(6003).id)
    expect(dialog).to_contain_text("Submitted by eve")
    shoot(page, "kill-question", full=False)


def test_a_lost_worker_is_said_and_its_output_comes_back(open_page: Opener) -> None:
    driver = driver_view(1, state=DriverState.UNKNOWN)
    lost = cluster_view(workers=(worker_view(1, state=WorkerState.DEAD),), active_drivers=(driver,))
    with serving(Site(lost)) as site:
        failed: list[str] = []
        page = open_page(f"{site.url}/driver/?driverId={driver.id}")
        page.on("response", lambda answer: failed.append(answer.url) if answer.status == 404 else None)
        expect(page.locator("#out-of-reach")).to_contain_text("which is not connected")
        shoot(page, "lost-worker")
        site.view = msgspec.structs.replace(lost, workers=(worker_view(1),))
        expect(page.locator(".tail")).to_have_count(2)
        assert failed == []


def test_what_cannot_be_read_is_said_instead_of_an_empty_box(open_page: Opener, site: Site) -> None:
    site.control.read_log = lambda question: LogData(request=0, error="its output does not exist (any more)")  # type: ignore[method-assign]
    page = open_page(f"{site.url}/driver/?driverId={driver_view(6000).id}")
    expect(page.locator("#problem-stdout")).to_contain_text("its output does not exist (any more)")
    expect(page.locator("#tail-stdout")).to_be_hidden()


def test_copying_an_id_copies_the_id(site: Site, open_page: Opener) -> None:
    page = open_page(f"{site.url}/driver/?driverId={ended(2).id}")
    copied = """() => new Promise((resolve) => {
      document.addEventListener("copy", (event) => resolve(event.clipboardData.getData("text/plain")));
      const box = document.querySelector("dd.id");
      getSelection().selectAllChildren(box.parentElement.querySelector("dd"));
      document.execCommand("copy");
    })"""
    assert page.evaluate(copied) == ended(2).id
    page.locator("dd.id").click(click_count=2)
    assert page.evaluate("getSelection().toString()") == ended(2).id


def test_a_revoked_session_is_said_at_once(tmp_path: Path, open_page: Opener) -> None:
    tokens = TokenFile(tmp_path / "keys")
    secret = tokens.create("ada", AccessRole.OPERATOR)
    with serving(Site(many(), access=Access(anonymous=AccessRole.VIEWER, tokens=tokens))) as site:
        page = open_page(f"{site.url}/login")
        page.get_by_label("Token").fill(secret)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("span.who")).to_have_text("ada")
        expect(page.locator("button.kill").first).to_be_visible()
        tokens.revoke("ada")
        expect(page.get_by_role("alert")).to_contain_text("Your session has ended")
        expect(page.locator("button.kill")).to_have_count(0)


def test_a_dashboard_that_does_not_answer_shows_in_the_tab(open_page: Opener) -> None:
    with serving(Site(many())) as site:
        page = open_page(site.url)
        expect(page).to_have_title(re.compile("^14 running, 7 waiting - "))
    expect(page).to_have_title(re.compile("^No answer - 14 running"))
    expect(page.locator("link[rel=icon]")).to_have_attribute("href", "/icon/away.svg")
