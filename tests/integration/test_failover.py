"""Standby masters on a real ZooKeeper: the leader is killed, stopped, frozen; running jobs are not disturbed."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ha import HaCluster
from tests.support.processes import alive
from tests.support.wait import wait_until
from tests.support.zookeeper import ZooKeeperServers

pytestmark = pytest.mark.cluster

TICKER = '#!/bin/sh\ni=0\nwhile [ ! -e "$1" ]; do i=$((i+1)); echo $i; sleep 0.05; done\nexit 7\n'


@pytest.fixture
def cluster(zookeeper: ZooKeeperServers, tmp_path: Path) -> Iterator[HaCluster]:
    with HaCluster(tmp_path, zookeeper=zookeeper.hosts, cores=3) as running:
        yield running


def output(cluster: HaCluster, job: str) -> list[str]:
    found = cluster.cli("logs", job)
    assert found.returncode == 0, found.stderr
    return [line for line in found.stdout.splitlines() if line.isdigit()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_running_work_does_not_notice_a_new_leader(cluster: HaCluster, tmp_path: Path, number: int) -> None:
    """The worker did not know the new leader's address before."""
    flag = tmp_path / "flag"
    script = cluster.script("ticker", TICKER)
    ended = cluster.submit("/bin/sh", "-c", "exit 4")
    cluster.wait_for(ended, "FAILED")
    job = cluster.submit(script, str(flag))
    run = cluster.start_cli("run", "--total-executor-cores", "1", "--", script, str(flag))
    pid = wait_until(lambda: cluster.wait_for(job, "RUNNING")["attempts"][-1].get("pid"), what="a pid")
    app = wait_until(lambda: cluster.status()["active_apps"], what="an application")[0]["id"]
    executor = wait_until(lambda: cluster.status(app)["executors"][0].get("pid"), what="an executor")
    uploaded = cluster.script("uploaded", "#!/bin/sh\nexit 5\n")
    queued = cluster.submit("--driver-cores", "3", uploaded)
    Path(uploaded).unlink()
    before = cluster.epochs()

    cluster.master.kill(number)
    cluster.wait_recovered(1)
    assert cluster.epochs()[-1] > max(before)
    found = wait_until(lambda: [a for a in cluster.status()["active_apps"] if a["state"] == "RUNNING"], what="its app")
    assert [one["id"] for one in found] == [app]
    assert [one["pid"] for one in cluster.status(app)["executors"]] == [executor]
    driver = cluster.wait_for(job, "RUNNING")
    assert [attempt["pid"] for attempt in driver["attempts"]] == [pid]
    seen = len(output(cluster, job))
    wait_until(lambda: len(output(cluster, job)) > seen, what="its output goes on")
    assert cluster.status(ended)["attempts"][0]["exit"]["code"] == 4, "history"
    assert cluster.status(queued)["state"] == "SUBMITTED", "the queue"
    assert int(cluster.submit("/bin/true")[-4:]) == 3, "the counters"
    flag.touch()
    assert run.wait(30) == 7
    run.communicate()
    assert cluster.wait_for(job, "FAILED")["attempts"][-1]["exit"]["code"] == 7
    assert cluster.wait_for(queued, "FAILED")["attempts"][-1]["exit"]["code"] == 5, "its file survived"


def test_a_dead_standby_disturbs_no_download(cluster: HaCluster) -> None:
    """The worker tries the standby again and again; the files from the leader arrive complete."""
    cluster.all_masters[1].kill()
    jobs = []
    for number in range(6):
        file = cluster.script(f"large-{number}", f"#!/bin/sh\nexit {number}\n{'#' * (48 << 20)}\n")
        jobs.append(cluster.submit(file))
        Path(file).unlink()
    codes = [cluster.wait_for(job, "FINISHED", "FAILED", "ERROR")["attempts"][-1]["exit"].get("code") for job in jobs]
    assert codes == list(range(6))


def test_a_download_goes_on_with_the_next_leader(cluster: HaCluster) -> None:
    size = 400 << 20
    file = Path(cluster.script("huge", f"#!/bin/sh\nexit 6\n{'#' * size}\n"))
    job = cluster.submit(str(file))
    file.unlink()

    def arrived() -> int:
        return max((part.stat().st_size for part in cluster.work.glob(".stoker/cache/*.part-*")), default=0)

    before = wait_until(arrived, what="a download begins")
    cluster.master.kill()
    assert before < size / 2, "it was under way"
    cluster.wait_recovered(1)
    (attempt,) = cluster.wait_for(job, "FAILED", "ERROR", within=60)["attempts"]
    assert attempt["exit"]["code"] == 6, attempt


def test_a_frozen_leader_is_replaced_and_comes_back_as_a_clean_standby(cluster: HaCluster, tmp_path: Path) -> None:
    job = cluster.submit(cluster.script("ticker", TICKER), str(tmp_path / "flag"))
    pid = wait_until(lambda: cluster.wait_for(job, "RUNNING")["attempts"][-1].get("pid"), what="a pid")
    process = cluster.master.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    cluster.wait_recovered(1)
    assert cluster.cli("kill", job).returncode == 0
    cluster.wait_for(job, "KILLED")
    process.send_signal(signal.SIGCONT)
    cluster.wait_stands_by(0)
    assert "no longer leads" in cluster.master.text()
    assert cluster.json(0)["status"] == "STANDBY" and cluster.json(1)["status"] == "ALIVE"
    assert not alive(pid)
    fresh = cluster.submit("/bin/true")
    cluster.wait_for(fresh, "FINISHED")
    cluster.all_masters[1].kill()  # and the first master can lead again
    cluster.wait_leads(0, times=2)
    cluster.wait_recovered(0)
    assert cluster.status(fresh)["state"] == "FINISHED"
    assert cluster.epochs() != sorted(cluster.epochs()) and len(set(cluster.epochs())) == 3


def test_standbys_lead_everybody_to_the_leader(cluster: HaCluster) -> None:
    standby = f"spark://127.0.0.1:{cluster.master_ports[1]}"
    job = cluster.cli("submit", "--master", standby, "/bin/true")
    assert job.returncode == 0 and job.stdout.startswith("driver-")
    cluster.wait_for(job.stdout.strip(), "FINISHED")
    assert cluster.json(1)["status"] == "STANDBY"

    def page() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{cluster.webui_ports[1]}/", timeout=20) as answer:
            return str(answer.url)

    # A standby whose connection to ZooKeeper stalls for a moment knows no leader until it is back.
    wait_until(lambda: page() == f"http://127.0.0.1:{cluster.webui_ports[0]}/", what="the leader's page")
    with urllib.request.urlopen(
        f"http://127.0.0.1:{cluster.webui_ports[1]}/driver/?driverId={job.stdout.strip()}", timeout=20
    ) as answer:
        assert f":{cluster.webui_ports[0]}/driver/?driverId=" in answer.url
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"http://127.0.0.1:{cluster.webui_ports[1]}/readyz", timeout=20)


def test_masters_are_added_and_removed_while_jobs_run(cluster: HaCluster, tmp_path: Path) -> None:
    """In the end, the masters that worker and application were started with are gone."""
    flag = tmp_path / "flag"
    run = cluster.start_cli("run", "--total-executor-cores", "1", "--", cluster.script("ticker", TICKER), str(flag))
    wait_until(lambda: [a for a in cluster.status()["active_apps"] if a["state"] == "RUNNING"], what="an application")
    for _ in range(2):
        cluster.add_master().start()
        number = len(cluster.all_masters) - 1
        cluster.wait_stands_by(number)
        cluster.wait_connected(number, 2)  # the leader has told worker and application of it
        cluster.url = f"spark://127.0.0.1:{cluster.master_ports[number]}"
        for old in range(number):
            process = cluster.all_masters[old].process
            if process is not None and process.poll() is None:
                cluster.all_masters[old].kill(signal.SIGTERM)
        cluster.wait_recovered(number)
        wait_until(lambda: [a for a in cluster.status()["active_apps"] if a["state"] == "RUNNING"], what="it is back")
    flag.touch()
    assert run.wait(30) == 7
    run.communicate()


def test_recovery_gives_up_on_the_silent(zookeeper: ZooKeeperServers, tmp_path: Path) -> None:
    properties = {"spark.deploy.recoveryTimeout": "2s"}
    with HaCluster(tmp_path, zookeeper=zookeeper.hosts, workers=2, properties=properties) as cluster:
        job = cluster.submit("--supervise", "/bin/sleep", "1000")
        worker = cluster.wait_for(job, "RUNNING")["worker_id"]
        victim = next(w for w in cluster.worker if f"{worker}:" in w.text())
        assert victim.process is not None
        victim.process.send_signal(signal.SIGSTOP)
        cluster.master.kill()
        cluster.wait_recovered(1)
        wait_until(lambda: len(cluster.status(job)["attempts"]) == 2, what="a second attempt elsewhere")
        victim.process.send_signal(signal.SIGCONT)
        moved = cluster.wait_for(job, "RUNNING")
        assert moved["worker_id"] != worker
        first = moved["attempts"][0].get("pid")
        assert first
        wait_until(lambda: not alive(first), what="the old copy is ended")
        assert cluster.cli("kill", job).returncode == 0


def test_a_lost_ensemble_stops_nothing_that_runs_and_says_so(tmp_path: Path) -> None:
    with (
        ZooKeeperServers(tmp_path / "zk") as servers,
        HaCluster(tmp_path / "c", zookeeper=servers.hosts, session_timeout="30s") as cluster,
    ):
        job = cluster.submit(cluster.script("ticker", TICKER), str(tmp_path / "flag"))
        pid = wait_until(lambda: cluster.wait_for(job, "RUNNING")["attempts"][-1].get("pid"), what="a pid")
        servers.kill()
        wait_until(lambda: "does not answer: this master does nothing" in cluster.master.text(), what="it has noticed")
        said = cluster.cli("status")
        assert "warning: the master waits: ZooKeeper at" in said.stdout
        refused = cluster.cli("submit", "--timeout", "1", "/bin/true")
        assert refused.returncode == 1 and "the master waits: ZooKeeper at" in refused.stderr.splitlines()[-1]
        waiting = cluster.start_cli("submit", "/bin/true")
        (tmp_path / "flag").touch()  # it ends while nobody may write that down
        wait_until(lambda: not alive(pid), what="the job ends")
        servers.start()
        out, _ = waiting.communicate(timeout=30)
        assert waiting.returncode == 0
        cluster.wait_for(out.strip(), "FINISHED")
        assert cluster.wait_for(job, "FAILED")["attempts"][-1]["exit"]["code"] == 7
        assert len(cluster.epochs()) == 1, "the leader has stayed the same"


def test_two_masters_without_a_store_in_common_are_named(tmp_path: Path) -> None:
    """Both masters lead, as the docs warn. The worker obeys the later one, and the other master reports it."""
    with HaCluster(
        tmp_path, zookeeper="unused:1", masters=1, properties={"spark.deploy.recoveryMode": "NONE"}
    ) as cluster:
        second = cluster.add_master()
        second.start()
        cluster.wait_leads(1)
        both = ",".join(f"127.0.0.1:{port}" for port in cluster.master_ports)
        cluster.worker[0].kill(signal.SIGINT)
        cluster.worker[0].words[-1] = f"spark://{both}"
        cluster.worker[0].start()
        wait_until(lambda: "another master leads as well" in cluster.master.text(), what="the earlier one shouts")
        alone = f"spark://127.0.0.1:{cluster.master_ports[0]}"
        wait_until(lambda: "another master leads" in cluster.cli("status", "--master", alone).stdout, what="status")
        cluster.url = f"spark://127.0.0.1:{cluster.master_ports[1]}"
        cluster.wait_for(cluster.submit("/bin/true"), "FINISHED")


def test_a_standby_stops_at_once_also_without_zookeeper(tmp_path: Path) -> None:
    cluster = HaCluster(tmp_path, zookeeper="127.0.0.1:1", masters=1, workers=0)
    cluster.master.start()
    try:
        wait_until(lambda: "spark://127.0.0.1" in cluster.master.text(), what="it serves")
        done = cluster.cli("status", "--timeout", "1")
        assert done.returncode == 1 and "no leader yet: connecting to ZooKeeper" in done.stderr
        assert cluster.master.kill(signal.SIGTERM) == 0  # waits 30 s at most
    finally:
        cluster.stop()


def test_sigterm_of_the_only_master_leaves_nothing_that_delays_the_next(cluster: HaCluster) -> None:
    cluster.all_masters[1].kill(signal.SIGTERM)
    cluster.master.kill(signal.SIGTERM)
    cluster.master.start()
    cluster.wait_recovered(0)
    cluster.wait_for(cluster.submit("/bin/true"), "FINISHED")
