"""Disk of jobs: a limit ends a driver and an executor, and what ended jobs left is removed."""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster import Cluster
from tests.support.wait import wait_until

GROW = "#!/bin/sh\nmkdir deep; ln -s / deep/all; head -c 8000000 /dev/urandom > deep/data; exec sleep 100\n"


def test_driver_and_executor_over_their_limit_end_with_that_reason(tmp_path: Path) -> None:
    program = tmp_path / "grow"
    program.write_text(GROW)
    program.chmod(0o755)
    properties = {
        "spark.stoker.worker.cleanup.maxAge": "0",
        "spark.worker.cleanup.interval": "500ms",
        "spark.stoker.worker.cleanup.onFinish": "files",
    }
    with Cluster(tmp_path / "c", properties=properties) as cluster:
        conf = ("--conf", "spark.stoker.driver.maxDisk=4m", "--conf", "spark.stoker.executor.maxDisk=4m")
        small = cluster.submit(*conf, "/bin/sleep", "1000")
        done = cluster.cli("submit", "--wait", "--supervise", *conf, str(program))
        assert done.returncode == 153, done
        assert "of 4 MiB of disk" in done.stderr
        run = cluster.cli("run", *conf, "--total-executor-cores", "1", "--", "sh", "-c", GROW.partition("\n")[2])
        assert run.returncode == 153 and "stopped: used 7." in run.stderr, run
        wait_until(
            lambda: [path.name for path in cluster.work.glob("[ad]*-*")] == [small], what="ended jobs' folders go"
        )
        assert "4 MiB" in cluster.cli("status", small).stdout
