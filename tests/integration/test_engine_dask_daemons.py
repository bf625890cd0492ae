"""``stoker.connect().dask()`` on clusters of its own: lost masters and workers, executors that have to exit by themselves."""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster import Cluster
from tests.support.programs import dask_executors, run_program, start_program
from tests.support.wait import wait_until


def test_calls_that_run_do_not_hold_the_cores_of_an_application_that_is_over(tmp_path: Path) -> None:
    """Nobody kills the executor here: it has to exit by itself."""
    text = """
import time, stoker
with stoker.connect(conf={"spark.cores.max": 2}) as app:
    client = app.dask()
    client.wait_for_workers(2)
    client.map(lambda n: time.sleep(600), range(4), pure=False)
    client.run(len, "")
"""
    with Cluster(tmp_path, memory="3g", properties={"spark.worker.driverTerminateTimeout": "10min"}) as cluster:
        run_program(cluster, text)
        wait_until(lambda: not dask_executors(cluster), what="executors end")


def test_a_master_and_a_worker_daemon_restart_unnoticed(tmp_path: Path) -> None:
    text = """
import time, stoker
with stoker.connect(conf={"spark.cores.max": 2}) as app:
    client = app.dask()
    client.wait_for_workers(2)
    print("ready", flush=True)
    assert client.gather(client.map(lambda n: time.sleep(0.3) or n, range(20), pure=False)) == list(range(20))
    client.cluster.scale(1)  # asks the new master
    assert sorted(executor.state.value for executor in app.executors) in (["KILLED", "RUNNING"], ["RUNNING", "RUNNING"])
    print(len(app.executors))
"""
    properties = {
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": str(tmp_path / "records"),
    }
    with Cluster(tmp_path, memory="3g", properties=properties) as cluster, start_program(cluster, text) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "ready\n"
        for daemon in (cluster.master, cluster.worker[0]):
            daemon.kill()
            daemon.start()
        out, err = driver.communicate(timeout=60)
        assert (driver.returncode, out) == (0, "2\n"), err
