"""How a page knows the other masters: from ZooKeeper, through the leader, also from one that has just taken over."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.ha import HaCluster
from tests.support.wait import wait_until
from tests.support.zookeeper import ZooKeeperServers

pytestmark = pytest.mark.cluster


def state(dashboard: str) -> str:
    """The state that a script on another dashboard's page reads."""
    request = urllib.request.Request(f"{dashboard}/readyz", headers={"Origin": "http://m1:8080"})
    try:
        answer = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        return str(json.load(answer)["status"])


def names_all(dashboard: str, masters: list[str]) -> bool:
    with urllib.request.urlopen(dashboard, timeout=20) as answer:
        policy, text = answer.headers["Content-Security-Policy"], answer.read().decode()
    return all(f" {master}" in policy.replace(";", " ") and master in text for master in masters)


def test_pages_name_the_masters_and_each_says_whether_it_leads(tmp_path: Path, zookeeper: ZooKeeperServers) -> None:
    with HaCluster(tmp_path, zookeeper=zookeeper.hosts, workers=1) as cluster:
        old, new = masters = [f"http://127.0.0.1:{port}" for port in cluster.webui_ports]
        wait_until(lambda: names_all(old, masters), what="the leader's page names both")
        assert (state(old), state(new)) == ("ALIVE", "STANDBY")
        cluster.master.kill()
        cluster.wait_leads(1)
        wait_until(lambda: names_all(new, [new]), what="the next leader's page names the masters too")
        wait_until(lambda: state(new) == "ALIVE", what="the next leader says so")
