"""GPUs of a real cluster: found, shown, given to one job at a time, and missing where nobody has them."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.programs import run_program
from tests.support.wait import wait_until


def get_text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


SHOW = """#!/bin/sh
echo "$1 cuda=$CUDA_VISIBLE_DEVICES rocr=$ROCR_VISIBLE_DEVICES all=$STOKER_RESOURCES"
while [ -e "$2" ]; do sleep 0.02; done
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """A worker that offers two cards, which a tool finds that is called as NVIDIA's."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "nvidia-smi").write_text("#!/bin/sh\necho 0\necho 1\n")
    (tools / "nvidia-smi").chmod(0o755)
    made = Cluster(tmp_path / "home", cores=4, memory="8g", properties={"spark.stoker.worker.gpu": "auto"})
    made.environ["PATH"] = f"{tools}:{made.environ['PATH']}"
    return made


def test_two_cards_are_shared_by_three_jobs_one_job_on_a_card(cluster: Cluster, tmp_path: Path) -> None:
    wait = tmp_path / "wait"
    wait.touch()
    with cluster:
        show = cluster.script("show", SHOW)
        ids = [cluster.submit("--gpus", "1", show, "{{GPUS}}", str(wait)) for _ in range(3)]
        plain = cluster.submit(show, "none", "")
        running = [cluster.wait_for(one, "RUNNING") for one in ids[:2]]
        assert [one["attempts"][0]["resources"] for one in running] == [[["gpu", ["0"]]], [["gpu", ["1"]]]]
        assert cluster.wait_for(plain, "FINISHED")["attempts"][0]["resources"] == []
        assert cluster.status(ids[2])["state"] == "SUBMITTED"
        assert "the most that one has free is 0 gpu" in cluster.cli("status", ids[2]).stdout
        assert "2 gpu (2 used)" in cluster.cli("status").stdout

        page = json.loads(get_text(f"http://127.0.0.1:{cluster.webui_port}/json/"))
        (worker,) = page["workers"]
        assert worker["resources"] == {"gpu": {"name": "gpu", "addresses": ["0", "1"]}}
        assert (worker["resourcesused"], worker["resourcesfree"]) == (worker["resources"], {})
        metrics = get_text(f"http://127.0.0.1:{cluster.webui_port}/metrics/prometheus")
        assert 'stoker_resource_addresses_used{resource="gpu"} 2.0' in metrics
        assert "gpu in use" in get_text(f"http://127.0.0.1:{cluster.webui_port}/")

        wait.unlink()
        for one in ids:
            cluster.wait_for(one, "FINISHED")
        outputs = [cluster.cli("logs", one).stdout for one in ids]
        assert outputs[0] == '0 cuda=0 rocr=0 all={"gpu": ["0"]}\n'
        assert outputs[1] == '1 cuda=1 rocr=1 all={"gpu": ["1"]}\n'
        assert cluster.cli("logs", plain).stdout == "none cuda= rocr= all={}\n"

        # Each executor gets its own; a card that nobody has is waited for, with the reason.
        done = cluster.cli(
            "run", "--gpus", "1", "--executor-cores", "1", "--total-executor-cores", "2", "--", "echo", "{{GPUS}}"
        )
        assert (done.returncode, sorted(done.stdout.split())) == (0, ["0", "1"])
        never = cluster.submit("--resource", "fpga=1", "--gpus", "2", show, "x", "")
        text = wait_until(lambda: cluster.cli("status", never).stdout, what="its status")
        assert "no worker offers 1 fpga (the most is 0)" in text


@pytest.mark.parametrize(
    "words, why",
    [
        (("submit", "--gpus", "0", "x"), "--gpus must be a whole number from 1"),
        (("submit", "--gpus", "-1", "x"), "--gpus must be"),
        (("submit", "--resource", "gpu", "x"), "is not NAME=N"),
        (("submit", "--resource", "gpu=1", "--gpus", "1", "x"), "given twice"),
        (
            ("submit", "--conf", "spark.executor.resource.gpu.amount=0.5", "x"),
            "spark.executor.resource.gpu.amount must be",
        ),
        (("run", "--gpus", "0.5", "--", "true"), "--gpus must be a whole number from 1"),
        (("run", "--resource", "g pu=1", "--", "true"), "not the name of a resource"),
    ],
)
def test_amounts_that_are_none_are_one_line(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    cluster = Cluster(tmp_path)
    cluster.script("x", "#!/bin/sh\n")
    done = cluster.cli(*words)
    assert done.returncode == 2 and why in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_a_worker_with_too_few_addresses_does_not_start(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    find = cluster.script("find", """#!/bin/sh\necho '{"name": "gpu", "addresses": ["0"]}'\n""")
    options = f"-Dspark.worker.resource.gpu.amount=2 -Dspark.worker.resource.gpu.discoveryScript={find}"
    done = cluster.cli("worker", cluster.url, env={"SPARK_WORKER_OPTS": options})
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        "stoker: spark.worker.resource.gpu.amount is 2, and this machine has 1 (0)"
    )
    assert "Traceback" not in done.stderr


DASK = """
import os, stoker
with stoker.connect(name="cards", conf={"spark.cores.max": 2, "spark.executor.resource.gpu.amount": 1}) as app:
    client = app.dask()
    client.wait_for_workers(2)
    held = client.run(lambda dask_worker: (os.environ["CUDA_VISIBLE_DEVICES"], dask_worker.state.total_resources))
    assert sorted(held.values()) == [("0", {"GPU": 1.0}), ("1", {"GPU": 1.0})], held
    card = lambda: os.environ["CUDA_VISIBLE_DEVICES"]
    print(sorted(client.gather([client.submit(card, resources={"GPU": 1}, workers=[one], pure=False) for one in held])))
"""


def test_tasks_of_dask_ask_for_the_cards_of_their_executors(cluster: Cluster) -> None:
    with cluster:
        assert run_program(cluster, DASK) == "['0', '1']\n"
