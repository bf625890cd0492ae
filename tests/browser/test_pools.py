"""The page of the pools, and pools in the tables of jobs, at the widths of people's screens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from stoker.core.model.pools import Pool, Quota
from stoker.core.model.states import ApplicationState, DriverState
from stoker.core.model.views import ClusterView, PoolView, PrincipalView
from tests.browser.conftest import PATIENCE, Opener, shoot
from tests.browser.test_pages import Site, serious, serving
from tests.browser.test_tables import over
from tests.support.web import SUBMITTED, app_view, cluster_view, driver_view, worker_view

expect.set_options(timeout=PATIENCE)
NAMES = ("etl", "interactive", "nightly-batch-of-the-whole-warehouse", "default")


def shared() -> ClusterView:
    pools = tuple(
        PoolView(
            name=name,
            settings=Pool(
                name=name, weight=3 - number % 3, min_share=Quota(cores=16, memory_mib=65536) if number == 1 else Quota(),
                most=Quota(cores=64, memory_mib=262144, drivers=20) if number < 2 else Quota(),
                most_per_user=Quota(cores=16, drivers=5, queued=1000), max_driver_share=0.5, max_priority=10,
                users=("ada", "team-*") if number == 0 else None, operators=("grace",),
                policy="fifo" if number == 2 else "fair",
            ),
            cores=8 * number, memory_mib=9000 * number, drivers=number, applications=2, waiting=5 * number,
            oldest=SUBMITTED if number else 0.0, part_now=0.25 * number, part_past=0.11 * number,
            principals=tuple(
                PrincipalView(name=who, cores=4, memory_mib=4096, drivers=2, waiting=3, part=0.07 * number)
                for who in ("ada", "nightly-batch-user-of-the-warehouse", "")
            ),
        )
        for number, name in enumerate(NAMES)
    )  # fmt: skip
    waiting = (
        driver_view(20 + number, state=DriverState.SUBMITTED, worker_id="", attempts=(), cores=7, pool=name,
                    principal="ada", priority=number)
        for number, name in enumerate(NAMES)
    )  # fmt: skip
    return cluster_view(
        workers=tuple(worker_view(number) for number in range(1, 9)),
        active_drivers=(*(driver_view(number, pool=NAMES[number % 4]) for number in range(4)), *waiting),
        active_apps=(app_view(1, pool="etl"), app_view(2, state=ApplicationState.WAITING, executors=(), pool=NAMES[2])),
        pools=pools,
    )


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(shared())) as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1024, 1280])
def test_pools_fit_and_are_legible(site: Site, open_page: Opener, width: int, scheme: str) -> None:
    page = open_page(f"{site.url}/pools/", viewport={"width": width, "height": 900}, color_scheme=scheme)
    expect(page.locator("#pools tbody tr")).to_have_count(4)
    expect(page.locator("#people tbody tr")).to_have_count(12)
    for path, name in (
        ("/pools/", "pools"),
        ("/", "jobs-of-pools"),
        (f"/driver/?driverId={driver_view(21).id}", "why"),
    ):
        page.goto(site.url + path)
        shoot(page, f"{name}-{width}-{scheme}")
        assert over(page) == []
        widths = page.evaluate(
            "[...document.querySelectorAll('.scroll')].map((box) => [box.scrollWidth, box.clientWidth])"
        )
        assert all(content <= room for content, room in widths), f"a table is wider than its card: {widths}"
        assert serious(page) == []


def test_a_pool_leads_to_its_jobs_and_the_filter_narrows_them(site: Site, open_page: Opener) -> None:
    page = open_page(site.url)
    page.get_by_role("link", name="Pools", exact=True).first.click()
    page.get_by_role("link", name="interactive").click()
    expect(page.locator("#drivers tbody tr")).to_have_count(2)
    page.get_by_label("Pool of Running Drivers").select_option("etl")
    expect(page.locator("#drivers tbody tr").first).to_contain_text("etl")
    expect(page.locator("#waiting")).to_contain_text("would help: 5 cores instead of 7")
