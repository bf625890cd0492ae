"""GPUs of a discovery script, a full disk, and hosts that are not well. Each test leaves all hosts well to the next."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.site import STEADY, Site
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(400)
SCRATCH, UNWELL = "/srv/scratch", "/run/unwell"  # of prepare.yml
WORKERS = ("worker1", "worker2")
SMALL = ("--driver-memory", "64m", "--driver-cores", "0")
WHICH = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['STOKER_RESOURCES'])"


@pytest.fixture
def jobs(site: Site) -> Iterator[list[str]]:
    """Running jobs of the test, which are killed at its end, unless the test has killed them."""
    running: list[str] = []
    yield running
    for job in running:
        site.stoker("kill", job, check=False)
    wait_until(lambda: all(site.job(job)["state"] == "KILLED" for job in running), what="the end of the jobs")


def unfit(site: Site) -> dict[str, str]:
    """Return what is wrong with each host that is not well."""
    names = {host.address: host.name for host in site.hosts}
    live = (worker for worker in site.status()["workers"] if worker["state"] == "ALIVE")
    return {names[worker["host"]]: reason["text"] for worker in live for reason in worker["unfit"]}


def running(site: Site, job: str) -> dict[str, Any]:
    """Return the latest attempt of a driver, once that runs, with the name of its host."""
    found = wait_until(lambda: (view := site.job(job))["state"] == "RUNNING" and view, what=f"{job} runs")
    name = next(host.name for host in site.hosts if host.address == found["worker_host"])
    return {**found["attempts"][-1], "on": name}


def test_jobs_get_the_gpus_that_the_script_found(site: Site, jobs: list[str]) -> None:
    jobs += [site.submit(STEADY, *SMALL, "--gpus", "1") for _ in range(4)]
    attempts = [running(site, job) for job in jobs]
    held = sorted((one["on"], one["resources"][0][0], *one["resources"][0][1]) for one in attempts)
    assert held == [(name, "gpu", address) for name in WORKERS for address in "01"]
    late = site.submit(WHICH, *SMALL, "--gpus", "2")
    assert "the most that one has free is 0 gpu" in site.stoker("status", late), "it says what it waits for"
    for job in jobs[:3]:  # of two workers, one has both of its GPUs back
        site.stoker("kill", job)
    wait_until(lambda: site.job(late)["state"] == "FINISHED", what="the job with two GPUs has run")
    visible, _, resources = site.stoker("logs", late).strip().partition(" ")
    assert visible == "0,1" and json.loads(resources) == {"gpu": ["0", "1"]}


def test_workers_are_in_the_control_group_that_their_systemd_gives_them(site: Site) -> None:
    """With systemd 254 or newer, below that of the unit, so that jobs can have groups beside them; else in the unit's."""
    places = {
        name: site.hosts[name].exec("sh", "-c", "cat /proc/$(pgrep -of 'stoker worker')/cgroup") for name in WORKERS
    }
    ends = {name: text.strip().rpartition("::")[2].rpartition("/")[2] for name, text in places.items()}
    assert ends == {"worker1": "stoker-worker-1.service", "worker2": "stoker-daemon"}, places


def test_nothing_is_placed_on_a_host_with_a_full_disk(site: Site, jobs: list[str]) -> None:
    host = site.hosts["worker2"]
    host.exec("dd", "if=/dev/zero", f"of={SCRATCH}/filler", "bs=1M", "count=60", "status=none")
    wait_until(lambda: "worker2" in unfit(site), what="worker2 says that its disk is full")
    said = unfit(site)["worker2"]  # it may have been measured before the disk was quite full
    assert re.match(rf"{SCRATCH} has \d+ MiB free", said), said
    jobs += [site.submit(STEADY, *SMALL) for _ in range(2)]
    assert [running(site, job)["on"] for job in jobs] == ["worker1", "worker1"]
    host.exec("rm", f"{SCRATCH}/filler")
    wait_until(lambda: not unfit(site), what="the host is well again")


def test_jobs_wait_while_no_host_is_well(site: Site, jobs: list[str]) -> None:
    for name in WORKERS:
        site.hosts[name].exec("touch", UNWELL)
    wait_until(lambda: len(unfit(site)) == 2, what="no host is well")
    jobs.append(site.submit(STEADY, *SMALL))
    said = site.stoker("status", jobs[0])
    assert "the fan has stopped" in said and "SUBMITTED" in said, said
    site.hosts["worker1"].exec("rm", UNWELL)
    assert running(site, jobs[0])["on"] == "worker1"
    site.hosts["worker2"].exec("rm", UNWELL)
    wait_until(lambda: not unfit(site), what="all hosts are well again")
