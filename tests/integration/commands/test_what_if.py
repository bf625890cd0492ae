"""``stoker what-if`` on a real cluster."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.cluster import Cluster

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def waiting(shared: Cluster) -> str:
    """Both workers are full; return the id of a driver that waits for one."""
    for _ in range(2):
        running = shared.submit("--driver-cores", "4", "--time-limit", "10min", "/bin/sleep", "600")
        shared.wait_for(running, "RUNNING")
    return shared.submit("--driver-cores", "4", "--time-limit", "10min", "/bin/sleep", "600")


def test_forecast_with_and_without_another_worker(shared: Cluster, waiting: str) -> None:
    done = shared.cli("what-if", "--add", "1x4c8g")
    assert done.returncode == 0, done.stderr
    assert re.search(rf"{waiting}  sleep .* in 9 min \d+ s, .*  now\n", done.stdout)
    assert "as it is: 1 start, on average in 9 min" in done.stdout


def test_json_of_what_would_be_submitted(shared: Cluster, waiting: str) -> None:
    done = shared.cli("what-if", "--submit", "1x99c1g", "--submit", "2x1c@5min", "--json")
    rows = json.loads(done.stdout)["jobs"]
    assert [row["id"] for row in rows] == [waiting, "", "", ""]
    assert rows[1]["after"] is None
    assert all(row["after"] > rows[0]["after"] for row in rows[2:])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--add", "many"], "--add 'many': write it like 4x16c64g (how many, cores, memory)"),
        (["--add", "0x4c8g"], "--add '0x4c8g': give 1 to 10,000 of them"),
        (["--add", "4c"], "--add '4c': a worker has cores and memory: write it like 4x16c64g"),
        (["--add", "4c8g@1h"], "--add '4c8g@1h': workers have no run time; leave out what follows '@'"),
        (["--add", "4c8g,gpu"], "--add: 'gpu' is not NAME=N, for example gpu=2"),
        (["--submit", "4c8g@soon"], "--submit: 'soon' is not a duration: write it like 60s, 5min or 1h"),
        (["--remove", "h9"], "--remove: there is no live worker h9: 'stoker workers' lists them"),
        (
            ["--pool", "etl"],
            "--pool and --priority are of what --submit submits, for example --submit 4c16g@2h --pool etl",
        ),
        (["--pools", "/nowhere.yml"], "cannot read /nowhere.yml: No such file or directory"),
    ],
)
def test_bad_input_is_one_line(shared: Cluster, options: list[str], line: str) -> None:
    done = shared.cli("what-if", *options)
    assert (done.returncode, done.stderr) == (2, f"stoker: {line}\n")
