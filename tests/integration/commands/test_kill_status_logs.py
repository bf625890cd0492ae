"""kill, status and logs on a real cluster: real daemons, real programs."""

from __future__ import annotations

import json

import pytest

from tests.integration.commands.counting import COUNT, lines
from tests.support.cluster import Cluster
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

# --- kill ------------------------------------------------------------------------------------------------------------


def test_kill_sees_it_ended(shared: Cluster) -> None:
    app = shared.script("sleep.py", "import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    running = shared.submit(app)
    waiting = shared.submit("--driver-cores", "100", app)
    shared.wait_for(running, "RUNNING")
    done = shared.cli("kill", running, waiting)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted([f"killed {running}", f"killed {waiting}"])
    for driver in (running, waiting):
        assert shared.status(driver)["state"] == "KILLED"
    again = shared.cli("kill", shared.url, running, "driver-20260101000000-9999", "nonsense")
    assert again.returncode == 1
    assert again.stderr.splitlines() == [
        f"stoker: {running} has already finished: it is KILLED",
        "stoker: there is no driver driver-20260101000000-9999: 'stoker status' lists them",
        "stoker: 'nonsense' is not an id: write it like driver-20260131120000-0000 or app-20260131120000-0000",
    ]


def test_kill_of_an_application(shared: Cluster) -> None:
    run = shared.start_cli("run", "--total-executor-cores", "1", "--", "sleep", "60")
    app = wait_until(lambda: next(iter(shared.status()["active_apps"]), None), what="the application")
    assert app is not None
    wait_until(lambda: shared.status(app["id"])["executors"], what="its executor")
    shown = shared.cli("status", app["id"]).stdout
    assert "Executors (1)" in shown
    done = shared.cli("kill", app["id"])
    assert (done.returncode, done.stdout) == (0, f"killed {app['id']}\n")
    run.communicate(timeout=20)
    assert run.returncode == 1


# --- status ----------------------------------------------------------------------------------------------------------


def test_status_of_the_cluster(shared: Cluster) -> None:
    shown = shared.cli("status")
    assert shown.returncode == 0
    assert shared.url in shown.stdout
    assert "Workers (2)" in shown.stdout
    assert "\x1b" not in shown.stdout
    found = json.loads(shared.cli("status", "--json").stdout)
    assert found["state"] == "ALIVE"
    assert [worker["state"] for worker in found["workers"]] == ["ALIVE", "ALIVE"]


def test_status_of_a_driver_that_waits(shared: Cluster) -> None:
    driver = shared.submit("--driver-cores", "100", "/bin/true")
    try:
        shown = shared.cli("submit", "--status", driver).stdout
        assert "SUBMITTED" in shown
        assert "no worker is that large" in shown
    finally:
        assert shared.cli("submit", "--kill", driver).returncode == 0


# --- logs ------------------------------------------------------------------------------------------------------------


def test_logs_whole_tail_and_stderr(shared: Cluster) -> None:
    driver = shared.submit(
        shared.script("count.py", "import sys\nfor i in range(2000): print(i)\nprint('e', file=sys.stderr)\n")
    )
    shared.wait_for(driver, "FINISHED")
    assert shared.cli("logs", driver).stdout == lines(2000)
    assert shared.cli("logs", "--tail", "3", driver).stdout == "1997\n1998\n1999\n"
    assert shared.cli("logs", "--tail", "0", driver).stdout == ""
    assert shared.cli("logs", "--tail", "5000", driver).stdout == lines(2000)
    assert shared.cli("logs", "--bytes", "5", driver).stdout == "1999\n"
    assert shared.cli("logs", "-f", "--tail", "2", driver).stdout == "1998\n1999\n"
    error = shared.cli("logs", "--stderr", driver).stdout
    assert error.startswith("Launch Command: ")
    assert error.endswith("\n\ne\n")
    unknown = shared.cli("logs", "driver-20260101000000-9999")
    assert unknown.returncode == 1
    assert unknown.stderr.count("\n") == 1


def test_logs_follow_a_driver_that_has_not_started(shared: Cluster) -> None:
    hogs = [
        shared.submit("--driver-cores", "4", shared.script("hog.py", "import time; time.sleep(60)")) for _ in range(2)
    ]
    for hog in hogs:
        shared.wait_for(hog, "RUNNING")
    driver = shared.submit("--driver-cores", "4", shared.script("count7.py", COUNT), "5")
    follower = shared.start_cli("logs", "-f", driver)
    not_yet = shared.cli("logs", driver)
    assert (not_yet.returncode, not_yet.stdout) == (0, "")
    assert "has not started yet" in not_yet.stderr
    assert shared.cli("kill", *hogs).returncode == 0
    out, _ = follower.communicate(timeout=30)
    assert (follower.returncode, out) == (0, lines(5))


def test_logs_of_an_executor(shared: Cluster) -> None:
    done = shared.cli(
        "run", "--total-executor-cores", "2", "--executor-cores", "1", "--", "sh", "-c", "echo {{EXECUTOR_ID}}"
    )
    assert done.returncode == 0, done.stderr
    app = max(app["id"] for app in shared.status()["completed_apps"])
    assert shared.cli("logs", f"{app}/1").stdout == "1\n"
    assert shared.cli("logs", "-f", f"{app}/0").stdout == "0\n"
    which = shared.cli("logs", app)
    assert which.returncode == 2
    assert "has executors 0, 1" in which.stderr
