"""A page that is open while its master dies: a real cluster of two masters."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, Opener, shoot
from tests.support.ha import HaCluster
from tests.support.wait import wait_until
from tests.support.zookeeper import ZooKeeperServers

expect.set_options(timeout=PATIENCE)
pytestmark = pytest.mark.cluster


def test_the_tab_goes_to_the_next_leader(tmp_path: Path, zookeeper: ZooKeeperServers, open_page: Opener) -> None:
    with HaCluster(tmp_path, zookeeper=zookeeper.hosts, workers=1) as cluster:
        driver = cluster.submit("--name", "goes on", "/bin/sleep", "600")
        first, second = (f"http://127.0.0.1:{port}" for port in cluster.webui_ports)
        page = open_page(f"{first}/driver/?driverId={driver}")

        def knows_both() -> bool:
            """The leader has learnt of the standby's dashboard, and the page's policy lets it ask there."""
            page.reload()
            return second in (page.locator("#main").get_attribute("data-masters") or "")

        wait_until(knows_both, what="the page names both masters")
        expect(page.locator(".headline .state")).to_have_text("RUNNING")
        os.kill(cluster.master.pid, signal.SIGKILL)
        page.wait_for_url(f"{second}/driver/?driverId={driver}")
        expect(page.locator("#toast")).to_contain_text("you see the new leader")
        expect(page.locator("h1")).to_contain_text("goes on")
        expect(page.locator(".headline .state")).to_have_text("RUNNING")
        shoot(page, "next-leader")
