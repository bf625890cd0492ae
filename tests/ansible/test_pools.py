"""`stoker_pools` of the inventory: the file that masters read while they run, and the playbook that changes only it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tests.ansible.test_playbooks import Site, changed, site  # noqa: F401 - a fixture
from tests.support.wait import wait_until

pytestmark = [pytest.mark.ansible, pytest.mark.timeout(300)]
ETL = {"pools": {"etl": {"weight": 3, "users": ["ada", "team-*"]}, "default": None}, "scheduler": {"half_life": "1d"}}


def give(here: Site, pools: Any) -> None:
    """Set `stoker_pools` in the inventory."""
    content = yaml.safe_load(here.inventory.read_text())
    content["all"]["vars"]["stoker_pools"] = pools
    here.inventory.write_text(yaml.safe_dump(content))


def weights(here: Site) -> dict[str, int]:
    """Return the pools that the master obeys."""
    return {
        pool["name"]: pool["settings"].get("weight", 1)
        for pool in json.loads(here.stoker("pools", "--json").stdout)["pools"]
    }


def test_pools_of_the_inventory_reach_running_masters_without_a_restart(site: Site) -> None:  # noqa: F811
    path = site.home / "conf" / "pools.yml"
    give(site, ETL)
    site.play("start-all")
    assert weights(site) == {"etl": 3, "default": 1}
    before = site.pid("master"), site.pid("worker-1")

    give(site, {"pools": {"etl": {"weight": 5}}})
    assert changed(site.play("pools")) == 1
    wait_until(lambda: weights(site) == {"etl": 5}, what="the master reads the file again")
    assert changed(site.play("pools")) == 0
    assert changed(site.play("start-all")) == 0

    good = path.read_bytes()
    give(site, {"pools": {"etl": {"weight": "many"}}})
    done = site.play("pools", check=False)
    said = re.sub(r"\s+", " ", done.stdout + done.stderr)
    assert done.returncode and "stoker_pools: etl: weight: 'many' is not a whole number" in said, said
    assert path.read_bytes() == good and weights(site) == {"etl": 5}

    path.write_text("pools: {etl: {wieght: 2}}\n")
    wait_until(lambda: "did you mean weight" in site.stoker("status").stdout, what="status names the fault")
    assert weights(site) == {"etl": 5}
    give(site, {"pools": {"etl": {"weight": 5}}})
    assert changed(site.play("pools")) == 1 and path.read_bytes() == good

    give(site, None)
    assert changed(site.play("pools")) == 1 and not path.exists()
    wait_until(lambda: weights(site) == {}, what="the master has no pools")
    path.write_text("pools: {mine: {}}\n")
    assert changed(site.play("pools")) == 0 and path.exists(), "what an operator has written stays"
    assert before == (site.pid("master"), site.pid("worker-1"))
