"""Other releases, stop-all and uninstall. The tests follow those of test_life.py, and each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.site import STEADY, Site, remains
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(400)


def versions(site: Site) -> dict[str, str]:
    """The leader's release, and those of the workers, by host."""
    status = site.status()
    names = {host.address: host.name for host in site.hosts}
    alive = (worker for worker in status["workers"] if worker["state"] == "ALIVE")
    return {"leader": status["version"], **{names[worker["host"]]: worker["version"] for worker in alive}}


def change(site: Site, old: str, new: str) -> None:
    """Edit the program that workers are, so that the checkout is of another release."""
    program = Path(site.checkout, "daemon", "stoker", "worker", "command.py")
    text = program.read_text()
    assert text.count(old) == 1
    program.write_text(text.replace(old, new))


def test_upgrade_leaves_a_running_driver_alone(site: Site, steady: dict[str, int]) -> None:
    before = versions(site)
    change(site, "def run(", "# another release\n\n\ndef run(")
    site.play("upgrade")
    after = versions(site)
    assert after.keys() == before.keys() and len(set(after.values())) == 1, after
    assert not set(after.values()) & set(before.values())


def test_a_release_that_does_not_start_goes_back_to_the_one_before(site: Site, steady: dict[str, int]) -> None:
    before = versions(site)
    change(site, "def run(", 'raise ConfigError("broken on purpose")\n\n\ndef run(')
    played = site.play("upgrade", check=False)
    change(site, 'raise ConfigError("broken on purpose")\n\n\ndef run(', "def run(")
    assert played.code and "broken on purpose" in played.output, played.output
    assert f"which is back at release {before['worker1']}" in played.output
    # The master could run it, and keeps it; every worker is of the release it was.
    assert {**versions(site), "leader": ""} == {**before, "leader": ""}
    site.play("upgrade")
    assert versions(site) == before


def test_a_host_without_python_is_named(site: Site) -> None:
    host = site.hosts["worker1"]
    python = host.ssh("readlink -f /usr/bin/python3").stdout.strip()
    host.ssh(f"mv {python} {python}.away")
    played = site.play("start-all", check=False)
    host.exec("mv", f"{python}.away", python)
    assert played.code and "has no python3" in played.output, played.output


def test_stop_all_leaves_nothing_running_and_records_outlive_it(site: Site) -> None:
    once, service = site.submit(STEADY), site.submit(STEADY, "--supervise")
    wait_until(lambda: all(site.job(job)["state"] == "RUNNING" for job in (once, service)))
    site.play("stop-all")
    for host in site.hosts:
        processes = host.exec("ps", "axww", "-o", "comm,args").splitlines()
        assert not [line for line in processes if "stoker" in line or "steady-job" in line], f"on {host.name}"
    site.play("start-all")
    wait_until(lambda: site.job(service)["state"] == "RUNNING", what="the supervised driver runs again")
    assert site.job(once)["state"] == "ERROR"
    site.stoker("kill", service)


def test_uninstall_leaves_nothing(site: Site) -> None:
    refused = site.play("uninstall", check=False)
    assert refused.code and "-e confirm=yes" in refused.output
    assert site.workers() == {"worker1", "worker2"}
    site.play("uninstall", "-e", "confirm=yes", "-e", "purge=true")
    assert {host.name: remains(host) for host in site.hosts if remains(host)} == {}
