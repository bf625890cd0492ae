"""``stoker.connect().ray()``: real programs on a real cluster."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.alone import alone
from tests.support.cluster import ME, Cluster
from tests.support.processes import lines_of, read_line
from tests.support.programs import run_program, start_program
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def only_user_of_ray() -> Iterator[None]:
    """These tests look for all of Ray's processes on the machine."""
    with alone("ray"):
        yield


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("ray")
    offered = {"gpu": ["4", "5"], "fpga": ["f"]}  # of each worker
    entries = [
        {"id": {"componentName": "spark.worker", "resourceName": name}, "addresses": addresses}
        for name, addresses in offered.items()
    ]
    (home / "resources.json").write_text(json.dumps(entries))
    properties = {"spark.worker.resourcesFile": str(home / "resources.json")}
    with Cluster(home, workers=2, cores=2, memory="2g", properties=properties) as running:
        yield running


def of_ray(cluster: Cluster) -> dict[int, str]:
    """Return Ray's processes, found by their environment. Ray's agents overwrite theirs, so they are found by their
    titles."""
    found = {pid: words for pid, words in cluster.processes().items() if "ray" in words and "pytest" not in words}
    return found | {pid: words for pid, words in titled().items() if pid not in BEFORE}


def titled() -> dict[int, str]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if words.startswith("ray::"):
                    found[int(entry.name)] = words
    return found


BEFORE = set(titled())  # processes of others


def folders(cluster: Cluster) -> set[str]:
    """Return the folders of heads, from their command lines."""
    return set(re.findall(r"/tmp/stoker-ray-head-\w+", " ".join(of_ray(cluster).values())))


RESULTS = """
import os, subprocess, sys, time
import ray  # as a program would, before there is a token
import stoker
from stoker.errors import StokerError
NAMED = {"spark.executor.resource.gpu.amount": 1, "spark.executor.resource.fpga.amount": 1}
with stoker.connect(name="rays", conf={"spark.cores.max": 4, "spark.submit.pyFiles": "helper.py", **NAMED}) as app:
    assert app.ray() is ray
    end = time.monotonic() + 40
    while ray.cluster_resources().get("CPU") != 4:
        assert time.monotonic() < end, ray.cluster_resources()
        time.sleep(0.05)
    where = ray.remote(num_cpus=0.5)(lambda: (time.sleep(0.2), os.getppid())[1])
    nodes = set()
    while len(nodes) < 2:  # a node whose processes are still starting may miss the first calls
        assert time.monotonic() < end, "both nodes work"
        nodes |= set(ray.get([where.remote() for _ in range(8)]))
    assert len(app.executors) == 2, "one node on each worker"
    assert {name: ray.cluster_resources().get(name) for name in ("GPU", "fpga")} == {"GPU": 2, "fpga": 2}
    card = lambda: (time.sleep(0.2), os.environ["CUDA_VISIBLE_DEVICES"], ray.get_gpu_ids())[1:]
    card = ray.remote(num_gpus=1, num_cpus=0, resources={"fpga": 1})(card)
    assert ray.get([card.remote(), card.remote()]) == [("4", ["4"])] * 2, "each task has the card of its executor"
    import helper
    assert ray.get(ray.remote(helper.twice).remote(4)) == 8
    words = [sys.executable, "-c", "import ray; ray.init(address=sys.argv[1])".replace("ray;", "ray, sys;"),
             ray.get_runtime_context().gcs_address]
    stranger = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_TOKEN"}
    stranger.update(RAY_AUTH_TOKEN="0" * 64, RAY_NUM_REDIS_GET_RETRIES="1")  # it would try for 20 seconds
    done = subprocess.run(words, env=stranger, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "Token" in done.stderr, done.stderr[-500:]
    try: app.pool()
    except StokerError as error: print(error)
    child = subprocess.Popen(["sleep", "600"])
assert "RAY_AUTH_TOKEN" not in os.environ and not ray.is_initialized()
assert child.poll() is None, "the program's own processes are its own"
child.kill()
print(app.app_id)
"""


def test_results_come_from_the_executors_and_strangers_are_kept_out(cluster: Cluster) -> None:
    cluster.script("helper.py", "def twice(n): return 2 * n\n")
    *said, app_id = run_program(cluster, RESULTS, timeout=110).splitlines()
    # Ray itself may print lines there as well.
    assert "rays runs Ray: an application has one engine, connect() another one" in said
    assert cluster.status(app_id)["state"] == "FINISHED"
    wait_until(lambda: not of_ray(cluster), what=lambda: f"nothing of Ray runs: {of_ray(cluster)}")


def test_a_lost_node_is_replaced_and_nothing_outlives_the_driver(cluster: Cluster) -> None:
    text = """
import time, stoker
app = stoker.connect(conf={"spark.cores.max": 1})
ray = app.ray()
@ray.remote(max_retries=-1)
def slow(number):
    time.sleep(1)
    return number
futures = [slow.remote(number) for number in range(4)]
print(app.app_id, flush=True)
assert ray.get(futures) == list(range(4))
print("done", len(app.executors), flush=True)
time.sleep(600)
"""
    with start_program(cluster, text) as driver:
        app_id = read_line(driver)
        assert app_id.startswith("app-"), driver.stderr and driver.stderr.read()
        node = next(pid for pid, words in of_ray(cluster).items() if words.startswith("/bin/sh"))
        os.kill(node, signal.SIGKILL)
        said = next(line for line in lines_of(driver) if line.startswith("done"))  # Ray reports the loss, too
        assert said.strip() == "done 2"
        used = folders(cluster)
        shown = "".join(of_ray(cluster).values())
        assert "RAY_AUTH" not in shown
        driver.kill()
        driver.communicate(timeout=20)
    cluster.wait_for(app_id, "FAILED")
    wait_until(lambda: not of_ray(cluster), what=lambda: f"nothing of Ray runs: {of_ray(cluster)}")
    assert used
    wait_until(lambda: not any(Path(folder).exists() for folder in used), what="no files are left")


def test_a_node_tidies_up_after_itself_and_after_those_who_could_not() -> None:
    from stoker.engines.ray import NODE

    with tempfile.TemporaryDirectory(prefix="stoker-ray-node-", dir="/tmp") as held:
        stale = tempfile.mkdtemp(prefix="stoker-ray-node-", dir="/tmp")
        descriptor = os.open(held, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        words = ["/bin/sh", "-c", NODE, "ray-node", "/bin/sh", "-c", 'echo "$1"; exit 7', "sh"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        used = done.stdout.strip().removeprefix("--temp-dir=")
        assert (done.returncode, done.stderr) == (7, "")
        assert used.startswith("/tmp/stoker-ray-node-") and not Path(used).exists()
        assert not Path(stale).exists(), "its user is dead"
        assert Path(held).exists(), "somebody uses it"
        os.close(descriptor)


def test_a_killed_application_is_no_endless_wait(cluster: Cluster) -> None:
    text = """
import time, stoker
app = stoker.connect(conf={"spark.cores.max": 1})
ray = app.ray()
print(app.app_id, flush=True)
try: ray.get(ray.remote(lambda: time.sleep(600)).remote())
except KeyboardInterrupt: print("interrupted")
"""
    with start_program(cluster, text) as driver:
        app_id = read_line(driver)
        cluster.cli("kill", app_id)
        out, err = driver.communicate(timeout=60)
    assert out.strip() == "interrupted"
    assert f"stoker: {app_id} is KILLED: killed by {ME} from the command line" in err
    wait_until(lambda: not of_ray(cluster), what=lambda: f"nothing of Ray runs: {of_ray(cluster)}")


@pytest.mark.parametrize(
    ("before", "conf", "words"),
    [
        (
            "import sys; sys.modules['ray'] = None",
            {},
            "Refused: Ray cannot be imported here .*: .*python.* -m pip install ray",
        ),
        (
            "",
            {"spark.dynamicAllocation.enabled": True},
            "ConfigError: Ray does not support spark.dynamicAllocation.enabled",
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(cluster: Cluster, before: str, conf: dict[str, object], words: str) -> None:
    text = f"""
{before}
import stoker
from stoker.errors import StokerError
try:
    with stoker.connect(conf={conf}) as app: app.ray(timeout=5)
except StokerError as error: print(f"{{type(error).__name__}}: {{error}}")
"""
    assert re.fullmatch(words + "[^\n]*", run_program(cluster, text).strip())
