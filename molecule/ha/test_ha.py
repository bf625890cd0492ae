"""Masters and ZooKeeper go and come, by whole hosts. The tests follow each other: each leaves a whole cluster to the next."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError

from tests.support.site import BIN, Site, pids, remains
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(300)
ZOOKEEPERS = ("master1", "master2", "worker1")
MASTERS = ("master1", "master2")
UNIT = "stoker-zookeeper"
UNREACHABLE = 4  # exit code of ansible-playbook


def leader(site: Site) -> str:
    """Name of the master that clients find; empty when they find none."""
    url = site.status().get("url", "")
    return next((name for name in MASTERS if f"//{site.hosts[name].address}:" in url), "")


def other(name: str) -> str:
    return next(each for each in MASTERS if each != name)


def works(site: Site) -> None:
    """A driver is submitted and runs to its end."""
    assert site.stoker("submit", "--wait", "/bin/echo", "done") == "done\n"


def stands_by(site: Site, name: str) -> bool:
    log = site.hosts[name].exec("journalctl", "--unit", "stoker-master", "--output", "cat", "--lines", "3")
    return "the leader is" in log


@contextmanager
def down(site: Site, *names: str) -> Iterator[None]:
    """ZooKeeper stands still on these hosts."""
    for name in names:
        site.hosts[name].ssh("systemctl", "stop", UNIT)
    yield
    for name in names:  # all at once: each is ready when most of them are there
        site.hosts[name].ssh("systemctl", "start", "--no-block", UNIT)
    wait_until(lambda: all(serves(site, name) for name in names), within=60, what="ZooKeeper serves")


def serves(site: Site, name: str) -> bool:
    return site.hosts[name].ssh("systemctl", "is-active", UNIT, check=False).stdout.strip() == "active"


def test_masters_keep_their_nodes_to_themselves(site: Site) -> None:
    assert leader(site) and site.workers() == {"worker1", "worker2"}
    shown = site.play("status").output
    assert shown.count(" zookeeper ") == len(ZOOKEEPERS), shown
    stranger = KazooClient(hosts=f"{site.hosts['worker1'].address}:2181", timeout=5)
    stranger.start(timeout=20)
    try:
        assert stranger.exists("/spark/leader")
        for act in (stranger.get, stranger.get_children, stranger.delete):
            with pytest.raises(NoAuthError):
                act("/spark/leader")
        with pytest.raises(NoAuthError):
            stranger.create("/spark/masters/impostor:7077")
    finally:
        stranger.stop()
        stranger.close()


def test_the_leaders_host_is_switched_off_and_the_standby_leads(site: Site, steady: dict[str, int]) -> None:
    first = leader(site)
    site.hosts[first].kill()
    wait_until(lambda: leader(site) == other(first), within=60, what=f"{other(first)} leads")
    works(site)
    assert site.running("steady-job") == steady
    # The host is a member of ZooKeeper, too. Playbooks go on without it: a worker that has stopped is brought back.
    (idle,) = {"worker1", "worker2"} - steady.keys()
    site.hosts[idle].ssh("systemctl", "stop", "stoker-worker-1")
    played = site.play("start-all", check=False)
    assert played.code == UNREACHABLE and site.workers() == {"worker1", "worker2"}, played.output
    played = site.play("drain", "-e", f"worker={idle}")
    through = f"{first} unreachable: going on through {other(first)}"
    assert through in " ".join(played.output.split()), played.output
    site.play("undrain", "-e", f"worker={idle}", "--limit", f"!{first}")
    assert not any(worker["draining"] for worker in site.status()["workers"])
    site.hosts[first].start()
    wait_until(lambda: stands_by(site, first), within=60, what=f"{first} stands by")
    assert leader(site) == other(first)


def test_a_leader_that_is_cut_off_has_no_effect(site: Site, steady: dict[str, int]) -> None:
    first = leader(site)
    before = site.submit("import time; time.sleep(600)")
    site.hosts[first].partition()
    wait_until(lambda: leader(site) == other(first), within=60, what=f"{other(first)} leads")
    meanwhile = site.stoker("submit", "/bin/sleep", "600").strip()
    wait_until(lambda: site.job(meanwhile)["state"] == "RUNNING")
    site.hosts[first].heal()
    wait_until(lambda: stands_by(site, first), within=60, what=f"{first} stands by")
    assert leader(site) == other(first)
    jobs = (before, meanwhile)
    shown = [site.job(job) for job in jobs]
    assert [(job["state"], len(job["attempts"])) for job in shown] == [("RUNNING", 1)] * 2, shown
    assert sum(len(pids(site.hosts[name], "sleep")) for name in ("worker1", "worker2")) == 1
    assert site.running("steady-job") == steady
    site.stoker("kill", *jobs)


def test_one_zookeeper_less_is_not_noticed(site: Site, steady: dict[str, int]) -> None:
    first = leader(site)
    with down(site, "worker1"):
        works(site)
        assert leader(site) == first
    works(site)


def test_without_zookeeper_nothing_new_is_taken_and_nothing_is_lost(site: Site, steady: dict[str, int]) -> None:
    with down(site, *ZOOKEEPERS):
        words = [str(BIN / "stoker"), "submit", "--wait", "/bin/echo", "patience"]
        waiting = subprocess.Popen(words, env=site.environment(), stdout=subprocess.PIPE, text=True)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.communicate(timeout=8)  # longer than a session lives
            assert site.running("steady-job") == steady
        except BaseException:
            waiting.kill()
            raise
    assert waiting.communicate(timeout=60)[0] == "patience\n" and waiting.returncode == 0
    wait_until(lambda: site.workers() == {"worker1", "worker2"})


def test_a_changed_setting_of_masters_restarts_the_leader_last_and_no_worker(
    site: Site, steady: dict[str, int]
) -> None:
    def daemons() -> dict[str, str]:
        names = {**dict.fromkeys(MASTERS, "stoker-master"), "worker1": "stoker-worker-1", "worker2": "stoker-worker-1"}
        shown = ["systemctl", "show", "--value", "--property", "MainPID"]
        return {name: site.hosts[name].exec(*shown, unit).strip() for name, unit in names.items()}

    first, before = leader(site), daemons()
    site.inventory["all"]["vars"]["spark_defaults"]["spark.deploy.maxDrivers"] = 500
    site.play("start-all")
    after = daemons()
    assert {name for name in before if before[name] != after[name]} == set(MASTERS)
    assert leader(site) == other(first), "had it been restarted first, it would lead again"
    assert not site.play("start-all").changed


def test_an_order_that_would_renumber_members_is_refused(site: Site) -> None:
    groups = site.inventory["all"]["children"]
    members = groups["zookeepers"]["hosts"]
    groups["zookeepers"]["hosts"] = dict(reversed(members.items()))
    played = site.play("start-all", check=False)
    groups["zookeepers"]["hosts"] = members
    assert played.code == 2 and not played.changed, played.output
    assert "master1 is member 1 and would become 3" in played.output


def test_new_members_that_could_outvote_the_others_are_refused(site: Site) -> None:
    """Here: both hosts of masters have lost their disks."""
    lost = ("master1", "master2")
    for name in lost:
        site.hosts[name].ssh("mv /var/lib/stoker-zookeeper /var/lib/elsewhere")
    played = site.play("start-all", check=False)
    for name in lost:
        site.hosts[name].ssh("mv /var/lib/elsewhere /var/lib/stoker-zookeeper")
    assert played.code == 2 and not played.changed, played.output
    assert "2 of the 3 members have no data yet" in played.output
    assert not site.play("start-all").changed


def test_uninstall_leaves_nothing(site: Site) -> None:
    site.play("uninstall", "-e", "confirm=yes", "-e", "purge=true")
    assert {host.name: remains(host) for host in site.hosts if remains(host)} == {}
