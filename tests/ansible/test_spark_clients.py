"""`stoker_spark_clients` of the inventory: names and secrets that masters read while they run."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.ansible.test_playbooks import Site, changed, site  # noqa: F401 - a fixture
from tests.support.wait import wait_until

pytestmark = [pytest.mark.ansible, pytest.mark.timeout(300)]
ADA, BOB = "a" * 32, "b" * 32


def give(here: Site, clients: Any, **defaults: str) -> None:
    content = yaml.safe_load(here.inventory.read_text())
    content["all"]["vars"]["stoker_spark_clients"] = clients
    content["all"]["vars"].setdefault("spark_defaults", {}).update(defaults)
    here.inventory.write_text(yaml.safe_dump(content))


def test_names_of_spark_clients_reach_running_masters_without_a_restart(site: Site) -> None:  # noqa: F811
    path = site.home / "conf" / "secrets" / "spark-clients"
    give(site, {"ada": {"pool": "etl", "secret": ADA}, "bob": BOB}, **{"spark.stoker.gateway.enabled": "true"})
    done = site.play("start-all", "--diff")
    assert ADA not in done.stdout + done.stderr
    assert path.read_text().splitlines()[1:] == [f"ada etl {ADA}", f"bob {BOB}"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert site.stoker("config", "check", str(path)).returncode == 0
    before = site.pid("master"), site.pid("worker-1")

    give(site, {"bob": BOB})
    done = site.play("spark-clients", "--diff")
    assert changed(done) == 1 and BOB not in done.stdout + done.stderr
    assert path.read_text().splitlines()[1:] == [f"bob {BOB}"]
    assert changed(site.play("spark-clients")) == 0
    assert changed(site.play("start-all")) == 0

    give(site, {"bob": "short"})
    done = site.play("spark-clients", check=False)
    said = re.sub(r"\s+", " ", done.stdout + done.stderr)
    assert done.returncode and "stoker_spark_clients:1: the secret of bob has under 16 characters" in said, said

    give(site, {})
    assert changed(site.play("spark-clients")) == 1
    assert [line for line in path.read_text().splitlines() if not line.startswith("#")] == []
    assert before == (site.pid("master"), site.pid("worker-1"))
    path.write_text("ada\n")
    wait_until(lambda: "write 'NAME SECRET'" in site.stoker("status").stdout, what="status names the fault")
