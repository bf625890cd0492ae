"""``stoker what-if`` on a real cluster."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from typing import Any

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


def ask(cluster: Cluster, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """POST /api/v1/what-if: the status, and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", cluster.webui_port, timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/v1/what-if", json.dumps(body), headers)
    with contextlib.closing(connection), connection.getresponse() as response:
        return response.status, json.loads(response.read())


def test_the_api_finds_what_the_command_finds(shared: Cluster, waiting: str) -> None:
    done = shared.cli("what-if", "--add", "1x4c8g", "--submit", "2x1c@5min", "--json")
    body = {
        "add": [{"cores": 4, "memory_mib": 8192}],
        "submit": [{"number": 2, "cores": 1, "memory_mib": 1024, "seconds": 300}],
    }
    status, found = ask(shared, body)
    assert status == 200, found
    expected = json.loads(done.stdout)
    assert found["run_times"] == expected["run_times"]
    for one, other in zip(found["jobs"], expected["jobs"], strict=True):
        for name in ("before", "after"):
            assert one.pop(name) == pytest.approx(other.pop(name), abs=30), "time has passed between the two"
        assert one == other
    assert [one["id"] for one in found["jobs"]] == [waiting, "", ""]
    assert ask(shared, {})[1]["jobs"][0]["id"] == waiting, "the cluster as it is"
    removed, pools = (
        ask(shared, {"remove": ["127.0.0.1"]}),
        ask(shared, {"pools": "pools: {default: {max: {cores: 4}}}"}),
    )
    assert removed[0] == pools[0] == 200
    assert removed[1]["jobs"][0]["after"] is None


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        ({"remove": ["h9"]}, 400, "remove: there is no live worker h9."),
        ({"pools": "pools: {default: {wieght: 2}}"}, 400, "wieght"),
        ({"submit": [{"cores": 1, "memory_mib": 1}], "pool": "etl"}, 409, "etl"),
    ],
)
def test_what_the_api_rejects(shared: Cluster, body: dict[str, Any], status: int, line: str) -> None:
    found = ask(shared, body)
    assert found[0] == status and line in found[1]["error"] and "\n" not in found[1]["error"], found


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
