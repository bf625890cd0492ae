"""The client where there is neither Linux nor Unix: the same commands and Python interface, against a real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]
API = """
from tests.support.portable import hide
hide()
import stoker
with stoker.Client() as client:
    driver = client.submit("/bin/echo", "hello")
    print(client.wait(driver).state.name, client.read_log(driver).decode().strip())
command = stoker.Command(argv=("/bin/sleep", "60"))
description = stoker.ApplicationDescription(
    name="portable", command=command, max_cores=1, memory_mib=64
)
keys = stoker.Keys.open(client.config.keys_dir, create=None)
with stoker.Application(client.config.url, description, keys=keys) as app:
    print(len(app.wait_for_executors(1, timeout=30)))
"""


def portable(cluster: Cluster, *words: str, code: str = "") -> Any:
    command = ["-c", code] if code else ["-m", "tests.support.portable", *words]
    return subprocess.run(
        [sys.executable, *command],
        env={**cluster.environ, "MASTER": cluster.url, "PYTHONPATH": f"{ROOT / 'daemon'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cluster.home,
        check=False,
    )


@pytest.fixture
def program(cluster: Cluster) -> str:
    return cluster.script(
        "program.py", "import sys, time\nprint('out', *sys.argv[1:], flush=True)\ntime.sleep(float(sys.argv[1]))\n"
    )


@pytest.mark.cluster
def test_every_command_of_a_client(cluster: Cluster, program: str) -> None:
    done = portable(cluster, "submit", "--wait", program, "0")
    assert (done.returncode, done.stdout) == (0, "out 0\n"), done.stderr
    done = portable(cluster, "submit", program, "60")
    assert done.returncode == 0, done.stderr
    driver = done.stdout.strip()
    wait_until(lambda: portable(cluster, "logs", driver).stdout == "out 60\n")
    assert json.loads(portable(cluster, "status", driver, "--json").stdout)["state"] == "RUNNING"
    assert portable(cluster, "status").returncode == 0
    assert portable(cluster, "kill", driver).returncode == 0
    done = portable(cluster, "run", "--executor-memory", "64m", "--total-executor-cores", "1", "--", "echo", "hello")
    assert (done.returncode, "hello" in done.stdout) == (0, True), done.stderr
    for words in (["--help"], ["tunnel", "--help"], ["keys", "show"]):
        assert portable(cluster, *words).returncode == 0, words


@pytest.mark.cluster
def test_the_commands_that_change_and_explain(cluster: Cluster, program: str) -> None:
    waiting = portable(cluster, "submit", "--hold", program, "60").stdout.strip()
    file = Path(cluster.home, "spark-env")
    file.write_text("SPARK_WORKER_CORES=2\n")
    for words in (
        ["explain", waiting],
        ["release", waiting],
        ["update", "--priority", "-1", waiting],
        ["what-if"],
        ["pools"],
        ["submit", "--dry-run", program],
        ["token", "create", "--name", "ada", "--role", "viewer"],
        ["keys", "invite", "ada"],
        ["config", "show"],
        ["config", "check", str(file)],
        ["completion", "bash"],
        ["help", "--man"],
    ):
        done = portable(cluster, *words)
        assert done.returncode == 0 and "error" not in done.stderr, f"{words}: {done.stderr}"


@pytest.mark.cluster
def test_the_python_interface(cluster: Cluster) -> None:
    done = portable(cluster, code=API)
    assert (done.returncode, done.stdout) == (0, "FINISHED hello\n1\n"), done.stderr


@pytest.mark.cluster
def test_what_needs_linux_says_so(cluster: Cluster, program: str) -> None:
    for words, reason in (
        (["submit", "--deploy-mode", "client", program], "needs Linux"),
        (["master"], "Linux"),
        (["doctor"], "Linux"),
        (["worker", cluster.url], "Linux"),
    ):
        done = portable(cluster, *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert reason in done.stderr
