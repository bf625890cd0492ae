"""The output of each attempt of a driver, on whatever worker it ran."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from tests.support.cluster import Cluster
from tests.support.wait import wait_until

FAILING = """
import os, pathlib, sys, time
attempt = int(os.environ["STOKER_ATTEMPT"])
print(f"output of {attempt}", flush=True)
print(f"\\x1b[31mtrouble\\x1b[0m in\\tattempt {attempt}", file=sys.stderr)
while attempt == 1 and not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.02)
sys.exit(0 if attempt == 3 else attempt)
"""


def test_every_attempt_is_reachable_on_whatever_worker(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, workers=2, cores=1)
    cluster.worker[1].env = {**cluster.worker[1].env, "SPARK_WORKER_DIR": str(tmp_path / "other")}
    with cluster:
        go = tmp_path / "go"
        script = cluster.script("failing.py", FAILING)
        driver = cluster.submit("--supervise", "--driver-cores", "1", script, str(go))
        wait_until(lambda: "output of 1" in cluster.cli("logs", driver).stdout, what="attempt 1 writes")
        first = cluster.status(driver)["worker_id"]
        assert cluster.cli("drain", first).returncode == 0
        go.touch()
        status = cluster.wait_for(driver, "FINISHED")
        workers = [attempt["worker_id"] for attempt in status["attempts"]]
        assert workers[0] == first != workers[1] == workers[2]
        lines = [attempt["exit"].get("last_error_line", "") for attempt in status["attempts"]]
        assert lines == ["trouble in attempt 1", "trouble in attempt 2", ""], "of failed attempts"
        for number in (1, 2, 3):
            read = cluster.cli("logs", driver, "--attempt", str(number))
            assert (read.returncode, read.stdout) == (0, f"output of {number}\n"), read.stderr
            followed = cluster.cli("logs", "-f", driver, "--attempt", str(number), "--stderr")
            assert f"in\tattempt {number}" in followed.stdout, followed.stderr
            url = f"http://127.0.0.1:{cluster.webui_port}/api/v1/drivers/{driver}/logs/stdout?attempt={number}"
            with urllib.request.urlopen(url) as answer:
                assert answer.read() == f"output of {number}\n".encode()
        assert cluster.cli("logs", driver).stdout == "output of 2\noutput of 3\n"
        missing = cluster.cli("logs", driver, "--attempt", "9")
        assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
        assert f"{driver} has no attempt 9: its latest is 3" in missing.stderr
        failed = cluster.submit(script, "/")
        cluster.wait_for(failed, "FAILED")
        assert "Last error line  trouble in attempt 1" in cluster.cli("status", failed).stdout
        no_app = cluster.cli("logs", "app-20260101000000-0001/0", "--attempt", "1")
        assert "only a driver has attempts" in no_app.stderr
