"""The examples do what they say, submitted as they say. (spark-pi: test_spark_gateway; survey: ``make start``.)"""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from pathlib import Path

from tests.support.alone import alone
from tests.support.cluster import Cluster
from tests.support.wait import wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_dask_dataframe(cluster: Cluster) -> None:
    words = ["--driver-cores", "0", "--executor-memory", "700m", str(EXAMPLES / "dask-dataframe" / "trips.py"), "4"]
    done = cluster.cli("submit", "--wait", *words, timeout=90)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("200,000 trips, ")
    fares = {int(hour): float(fare) for hour, fare in re.findall(r"^(\d+) +([\d.]+)$", done.stdout, re.MULTILINE)}
    assert sorted(fares) == list(range(24))
    assert min(fares[hour] for hour in range(6)) > max(fares[hour] for hour in range(6, 24)), "nights are dearer"


def test_ray_tasks(cluster: Cluster) -> None:
    words = ["--driver-cores", "0", "--executor-memory", "700m", str(EXAMPLES / "ray-tasks" / "maze.py"), "40"]
    with alone("ray"):
        done = cluster.cli("submit", "--wait", *words, timeout=90)
    assert done.returncode == 0, done.stderr
    found = re.search(
        r"^(\d+) of 40 mazes have a way; the longest, of maze (\d+), is (\d+) steps$", done.stdout, re.MULTILINE
    )
    assert found is not None, done.stdout
    assert int(found[3]) >= 80, "from corner to corner there are at least 80"


def test_a_supervised_service(cluster: Cluster) -> None:
    driver = cluster.submit("--supervise", "--driver-memory", "64m", str(EXAMPLES / "service" / "clock.py"))
    first = ask(cluster, driver, starts=1)
    assert (first["id"], first["attempt"]) == (driver, 1)
    pid = next(pid for pid, words in cluster.processes().items() if "clock.py" in words and "keeper" not in words)
    os.kill(pid, signal.SIGKILL)
    assert ask(cluster, driver, starts=2)["attempt"] == 2, "started again under the same id"
    cluster.cli("kill", driver)
    cluster.wait_for(driver, "KILLED")


def ask(cluster: Cluster, driver: str, *, starts: int) -> dict[str, object]:
    log = cluster.work / driver / "stdout"

    def addresses() -> list[str]:
        text = log.read_text() if log.exists() else ""
        found = re.findall(r"listening on (http://\S+)", text)
        return found if len(found) >= starts else []

    url = wait_until(addresses, what=f"start {starts} of the service")[-1]
    with urllib.request.urlopen(url, timeout=10) as answer:
        told: dict[str, object] = json.load(answer)
    return told
