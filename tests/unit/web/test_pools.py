"""Pools on the dashboard: their page, and pool, reason and help wherever a job is listed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from stoker.core.master.scheduling.explain import Waiting
from stoker.core.model.pools import Pool, Quota, ShadowJob, ShadowPool, ShadowView
from stoker.core.model.states import ApplicationState, DriverState, MasterState
from stoker.core.model.views import ClusterView, PoolView, PrincipalView
from stoker.web.master import make_app
from tests.support.web import Control, Page, app_view, cluster_view, driver_view, worker_view


def shared(**changes: Any) -> ClusterView:
    """Pool etl is at its limit of cores and has two jobs; one driver of the default pool is too large for what is free."""
    etl = Pool(
        name="etl", weight=3, min_share=Quota(cores=4), most=Quota(cores=2, memory_mib=2048), users=("ada",),
        most_per_user=Quota(drivers=1), max_driver_share=0.5, max_priority=9, operators=("grace",), policy="fifo",
    )  # fmt: skip
    ada = PrincipalView(name="ada", cores=2, memory_mib=512, drivers=1, waiting=1, part=0.3)
    view = cluster_view(
        active_drivers=(
            driver_view(1, pool="etl", priority=5, principal="ada"),
            driver_view(2, state=DriverState.SUBMITTED, worker_id="", attempts=(), pool="etl", principal="ada"),
            driver_view(4, state=DriverState.SUBMITTED, worker_id="", attempts=(), cores=7),
        ),
        active_apps=(app_view(1, pool="etl"), app_view(3, state=ApplicationState.WAITING, executors=())),
        pools=(
            PoolView(name="etl", settings=etl, cores=2, memory_mib=512, drivers=1, driver_cores=2, applications=1,
                     waiting=1, oldest=1e9, part_now=0.25, part_past=0.12, principals=(ada,)),
            PoolView(name="default", settings=Pool(name="default"), waiting=2),
        ),
    )  # fmt: skip
    return msgspec.structs.replace(view, **changes)


def site(view: ClusterView) -> FlaskClient:
    return make_app(lambda: view, Control()).test_client()


def page(view: ClusterView, path: str = "/pools/") -> Page:
    answer = site(view).get(path)
    assert answer.status_code == 200
    return Page(answer.text)


def test_the_page_shows_what_each_pool_has_and_may_have() -> None:
    shown = page(shared())
    heads, etl, default = shown.tables["Pools"]
    row = dict(zip(heads, etl, strict=True))
    assert (row["Pool"], row["Weight"], row["Past part"], row["Waiting"]) == ("etl", "3", "12 %", "1")
    assert row["Part now"] == "25 % below its min_share: it is served first"
    assert row["Uses"] == "2 cores 512.0 MiB"
    assert row["Running"] == "1 driver 1 application"
    assert row["Oldest wait"].endswith("days")
    for words in (
        "at least 4 cores", "at most 2 cores, 2.0 GiB", "each user at most 1 running driver", "drivers at most 50%",
        "priority 0, at most 9", "fifo", "users ada", "operators grace",
    ):  # fmt: skip
        assert words in row["Limits"]
    assert default[heads.index("Limits")] == "none"
    assert default[heads.index("Oldest wait")] == ""
    assert shown.tables["Users"][1] == ["etl", "ada", "30 %", "2", "512.0 MiB", "1", "1"]
    assert "/?drivers.pool=etl&apps.pool=etl#apps" in shown.links()
    assert not shown.foreign()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pools": ()}, "This cluster has no pools"),
        ({"pools": (), "state": MasterState.STANDBY}, "This master does not lead"),
    ],
)
def test_without_pools_the_page_says_so(change: dict[str, Any], said: str) -> None:
    assert said in page(shared(**change)).text


def test_tables_have_the_pool_where_there_are_several() -> None:
    shown = page(shared(), "/")
    drivers = shown.tables["Running Drivers"]
    assert drivers[1][drivers[0].index("Pool")] == "etl priority 5"
    assert drivers[3][drivers[0].index("Pool")] == "default"
    assert "/pools/" in shown.links()
    only = shared(pools=shared().pools[:1])
    assert "Pool" not in page(only, "/").tables["Running Drivers"][0]
    none = page(cluster_view(), "/")
    assert "Pool" not in none.tables["Running Drivers"][0]
    assert "/pools/" not in none.links()


def test_jobs_are_filtered_and_sorted_by_pool() -> None:
    found = page(shared(), "/?drivers.pool=default&drivers.sort=pool")
    assert [row[0][:28] for row in found.tables["Running Drivers"][1:]] == [driver_view(4).id]
    assert ("select", {"name": "drivers.pool", "aria-label": "Pool of Running Drivers"}) in found.tags
    assert "None of 3 fits" in page(shared(), "/?drivers.pool=nobody").text
    api = site(shared()).get("/api/v1/drivers?pool=etl&active=true").json
    assert api is not None
    assert api["total"] == 2
    apps = site(shared()).get("/api/v1/applications?pool=default&active=true").json
    assert apps is not None
    assert [app["id"] for app in apps["items"]] == [app_view(3).id]
    assert site(shared()).get("/api/v1/workers?pool=etl").status_code == 400


def test_the_reason_and_what_would_help_are_in_the_tables_and_on_the_jobs_page() -> None:
    rows = {row[0][:28]: " ".join(row) for row in page(shared(), "/").tables["Running Drivers"]}
    assert "pool etl has 2 of at most 2 cores" in rows[driver_view(2).id]
    assert "would help: pool default (--pool default)" in rows[driver_view(2).id]
    assert "the largest has 5 cores free" in rows[driver_view(4).id]
    assert "would help: 5 cores instead of 7" in rows[driver_view(4).id]
    assert "help" not in rows[driver_view(1).id], "it runs"
    whole = page(shared(), f"/driver/?driverId={driver_view(2).id}")
    for words in ("It waits: pool etl", "Refused pool etl has 2 of", "Would help pool default", "Pool etl"):
        assert words in whole.text


def test_past_use_that_nobody_can_see_is_not_sent_again() -> None:
    views = [shared()]
    client = make_app(lambda: views[-1], Control()).test_client()
    tag = client.get("/pools/").headers["ETag"]

    def status() -> int:
        return client.get("/pools/", headers={"If-None-Match": tag}).status_code

    etl, default = shared().pools
    views.append(shared(pools=(msgspec.structs.replace(etl, part_past=0.1212), default)))
    assert status() == 304
    views.append(shared(pools=(msgspec.structs.replace(etl, part_past=0.15), default)))
    assert status() == 200


def test_helps_are_found_once_for_jobs_alike_and_for_few_kinds_on_a_large_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr("stoker.core.master.scheduling.explain.helps", lambda _, job: asked.append(job.id) or ("x",))
    jobs = tuple(
        driver_view(number, state=DriverState.SUBMITTED, worker_id="", attempts=(), cores=7 + number % 4)
        for number in range(40)
    )
    workers = tuple(worker_view(number) for number in range(10_000))
    waiting = Waiting(cluster_view(workers=workers, active_drivers=jobs))
    helped = [waiting.helps(job) for job in jobs]
    assert len(asked) == 3
    assert helped.count(("x",)) == 30


SHADOW = ShadowView(
    "new.yml", since=1e9, at=1e9 + 60, comparisons=2, sooner=1, later=3,
    pools=(ShadowPool("etl", waiting=4, never=1, starts=2, seconds=240.0, shadow_seconds=60.0),),
    jobs=(ShadowJob("driver-20260101000000-0002", "job", "ada", "etl", None, 60.0),),
)  # fmt: skip


def test_a_shadow_policy_is_shown_with_what_it_would_change() -> None:
    shown = page(shared(shadow=SHADOW))
    assert shown.tables["Shadow"][1] == ["etl", "4", "1", "0", "2.0 min", "30 s"]
    assert "1 would start sooner and 3 later" in shown.text
    assert "it names no pools" in page(shared(shadow=ShadowView("new.yml", fault="it names no pools"))).text
    assert "Shadow" not in page(shared()).tables
    found = site(shared(shadow=SHADOW)).get("/api/v1/pools").get_json()["shadow"]
    assert (found["file"], found["sooner"], found["jobs"][0]["shadow_start"]) == ("new.yml", 1, 60.0)
    assert site(shared()).get("/api/v1/pools").get_json()["shadow"] is None
    series = site(shared(shadow=SHADOW)).get("/metrics/prometheus").text
    assert 'stoker_shadow_shadow_wait_seconds{pool="etl"} 30.0' in series
