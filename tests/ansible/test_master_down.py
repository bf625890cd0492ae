"""One of the masters is off, or hosts are left out: the playbooks work through the others, and report what they left
undone."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.ansible.test_playbooks import Site, changed, site  # noqa: F401 - a fixture

pytestmark = [pytest.mark.ansible, pytest.mark.timeout(400)]
OFF = {"ansible_connection": "ssh", "ansible_host": "127.0.0.9", "ansible_port": 1}  # nothing listens there
OFF |= {"stoker_common_push": False, "stoker_common_system": False}
UNREACHABLE = 4  # exit code of ansible-playbook


@pytest.fixture
def pair(site: Site) -> Site:  # noqa: F811
    """A cluster of this machine, with a first master and a worker that are off."""
    content = yaml.safe_load(site.inventory.read_text())
    content["all"]["hosts"] |= {"m1": dict(OFF), "w1": dict(OFF)}
    masters = content["all"]["children"]["masters"]
    masters["hosts"] = {"m1": None, "localhost": None}
    site.inventory.write_text(yaml.safe_dump(content))
    return site


def with_worker(here: Site) -> None:
    content = yaml.safe_load(here.inventory.read_text())
    content["all"]["children"]["workers"]["hosts"] = {"w1": None, "localhost": None}
    here.inventory.write_text(yaml.safe_dump(content))


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stdout + done.stderr
    return re.sub(r"\s+", " ", done.stdout + done.stderr)


def draining(here: Site) -> list[bool]:
    found: dict[str, Any] = json.loads(here.stoker("status", "--json").stdout)
    return [worker["draining"] for worker in found["workers"]]


def test_playbooks_work_through_the_master_that_lives(pair: Site) -> None:
    done = pair.play("start-all", check=False)
    assert done.returncode == UNREACHABLE and draining(pair) == [False], done.stdout
    done = pair.play("submit", "-e", "app=/bin/echo", "-e", '{"args": ["hello"]}', "-e", "wait=true")
    assert "m1 unreachable: going on through localhost" in said(done) and "hello" in done.stdout
    assert changed(pair.play("drain", "-e", "worker=localhost")) == 1 and draining(pair) == [True]
    done = pair.play("undrain", "-e", "worker=localhost", "--limit", "!m1")
    assert draining(pair) == [False] and "unreachable: going on" not in said(done)
    done = pair.play("token", "-e", "token=ada", check=False)
    assert done.returncode == UNREACHABLE and (pair.home / "conf" / "keys" / "tokens").exists()
    with_worker(pair)
    before = pair.pid("worker-1")
    done = pair.play("upgrade", check=False)
    assert done.returncode and "The upgrade has stopped at w1, which is unreachable" in said(done)
    assert pair.pid("worker-1") == before
    done = pair.play("upgrade", "--limit", "!w1", check=False)
    assert done.returncode and "m1 was unreachable and keeps its release" in said(done)
    pair.play("upgrade", "--limit", "localhost")


def test_a_run_without_a_host_to_work_on_fails(pair: Site) -> None:
    masters, workers = (
        "this run has none of localhost, m1 (group masters)",
        "this run has none of localhost (group workers)",
    )
    for playbook, words, says in (
        ("kill", ("-e", "id=driver-1"), masters),
        ("stop-master", (), masters),
        ("stop-workers", (), workers),
        ("rotate-keys", (), "this run has none of localhost, m1"),
        ("monitoring", (), "the inventory has no host in group monitoring"),
    ):
        done = pair.play(playbook, *words, "--limit", "w1", check=False)
        assert done.returncode and f"nothing was done: {says}" in said(done)
    done = pair.play("remove-worker", "-e", "worker=w1", "--limit", "localhost", check=False)
    assert done.returncode and "nothing was done: --limit leaves out w1" in said(done)


def test_no_master_is_reachable(pair: Site) -> None:
    done = pair.play("drain", "-e", "worker=localhost", "--limit", "m1", check=False)
    assert done.returncode and "no master of this run is reachable: m1" in said(done)
