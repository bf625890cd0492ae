"""A worker whose disk is full, read-only or removed does not lose jobs: they run elsewhere, and the message names the
worker."""

from __future__ import annotations

import contextlib
import shutil
import urllib.request
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.disks import disk_of_its_own, fill
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster
UNMEASURED = {"spark.stoker.worker.minFreeDisk": "0"}  # so that jobs find out


def with_work_dirs(cluster: Cluster, *folders: Path) -> Cluster:
    for worker, folder in zip(cluster.worker, folders, strict=True):
        worker.words[1:1] = ["-d", str(folder)]
    return cluster


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_jobs_go_to_the_worker_that_can_run_them(tmp_path: Path, how: str) -> None:
    with contextlib.ExitStack() as stack:
        small = stack.enter_context(disk_of_its_own(tmp_path / "small"))
        cluster = Cluster(tmp_path / "c", workers=2, cores=8, memory="16g", properties=UNMEASURED)
        stack.enter_context(with_work_dirs(cluster, small, tmp_path / "large"))
        if how == "full":
            fill(small)
        else:  # a file system with open files cannot become read-only: mount another one in its place
            stack.enter_context(disk_of_its_own(small, "ro"))
        script = cluster.script("job.sh", "#!/bin/sh\necho done\n")
        for job in [cluster.submit(script) for _ in range(6)]:
            found = cluster.wait_for(job, "FINISHED", "ERROR", "FAILED")
            assert found["state"] == "FINISHED", found
            assert len(found["attempts"]) == 1
        done = cluster.cli("run", "--total-executor-cores", "4", "--executor-cores", "1", "--", "echo", "executor")
        assert (done.returncode, done.stdout) == (0, "executor\n" * 4), done
        bad = next(worker for worker in cluster.status()["workers"] if worker.get("refusal"))
        why = "No space left on device" if how == "full" else "Read-only file system"
        assert why in bad["refusal"]
        assert "refuses work" in cluster.cli("status").stdout
        assert why in cluster.cli("status", bad["id"]).stdout
        with urllib.request.urlopen(f"http://127.0.0.1:{cluster.webui_port}/", timeout=10) as page:
            assert why in page.read().decode()
        assert f"{bad['id']} refused" in cluster.master.text() and why in cluster.worker[0].text()


def test_a_job_waits_with_the_reason_while_no_worker_can_start_it(tmp_path: Path) -> None:
    with (
        disk_of_its_own(tmp_path / "small") as small,
        with_work_dirs(Cluster(tmp_path / "c", properties=UNMEASURED), small) as cluster,
    ):
        with contextlib.suppress(OSError), (small / "filler").open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        job = cluster.submit("/bin/echo", "at last")
        wait_until(lambda: "No space left" in cluster.cli("status", job).stdout, what="it says why it waits")
        assert cluster.status(job)["state"] in ("SUBMITTED", "RUNNING")
        (small / "filler").unlink()
        assert cluster.wait_for(job, "FINISHED", within=60)["state"] == "FINISHED"
        assert cluster.cli("logs", job).stdout == "at last\n"
        assert not cluster.status()["workers"][0].get("refusal")


def test_a_removed_work_directory_is_made_again(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        script = cluster.script("job.sh", "#!/bin/sh\necho done\n")
        cluster.wait_for(cluster.submit(script), "FINISHED")
        for (
            entry
        ) in cluster.work.iterdir():  # its keeper's socket stays: an operator who removes that restarts the worker
            if entry.name != ".stoker":
                shutil.rmtree(entry)
        shutil.rmtree(cluster.work / ".stoker" / "cache")
        shutil.rmtree(cluster.state / "local", ignore_errors=True)
        job = cluster.submit(script)
        assert cluster.wait_for(job, "FINISHED", "ERROR")["state"] == "FINISHED"
        shutil.rmtree(cluster.work)
        job = cluster.submit(script)
        assert cluster.wait_for(job, "FINISHED", "ERROR")["state"] == "FINISHED"
        done = cluster.cli("run", "--", "echo", "x")
        assert done.returncode == 0, done


def test_a_missing_file_is_the_jobs_own_affair(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        for url in ("local:/no/such/program", "file:/no/such/program"):
            job = cluster.submit(url)
            assert cluster.wait_for(job, "ERROR", "FAILED")
        assert not cluster.status()["workers"][0].get("refusal")


def test_a_worker_with_a_full_disk_gets_nothing_and_works_again_when_there_is_room(tmp_path: Path) -> None:
    quick = {"spark.stoker.worker.healthCheckInterval": "200ms"}  # disks are measured as often
    with contextlib.ExitStack() as stack:
        small = stack.enter_context(disk_of_its_own(tmp_path / "small"))
        cluster = stack.enter_context(with_work_dirs(Cluster(tmp_path / "c", properties=quick), small))
        fill(small)
        wait_until(lambda: "unfit: disk" in cluster.cli("status").stdout, what="it is unfit")
        job = cluster.submit("/bin/echo", "at last")
        assert f"is unfit: {small} has 0 MiB free (0 %)" in cluster.cli("status", job).stdout
        assert cluster.status(job)["attempts"] == []
        assert "is unfit" in cluster.cli("doctor").stdout
        with urllib.request.urlopen(f"http://127.0.0.1:{cluster.webui_port}/metrics/prometheus", timeout=10) as page:
            assert 'stoker_workers_unfit{reason="disk"} 1.0' in page.read().decode()
        with urllib.request.urlopen(f"http://127.0.0.1:{cluster.webui_port}/", timeout=10) as page:
            assert "unfit: " in page.read().decode()
        (small / "filler").unlink()
        cluster.wait_for(job, "FINISHED")
        assert "unfit" not in cluster.cli("status").stdout


def test_a_health_script(tmp_path: Path) -> None:
    check = tmp_path / "check"
    check.write_text(f"#!/bin/sh\ntest -e {tmp_path}/well || {{ echo the fan is broken; exit 1; }}\n")
    check.chmod(0o755)
    quick = {"spark.stoker.worker.healthCheckInterval": "200ms", "spark.stoker.worker.healthCheck": str(check)}
    with Cluster(tmp_path, properties=quick) as cluster:
        [worker] = cluster.status()["workers"]
        assert [one["kind"] for one in worker["unfit"]] == ["health"]  # before anything could be placed there
        job = cluster.submit("/bin/true")
        assert "the fan is broken" in cluster.cli("status", job).stdout
        cluster.master.kill()
        cluster.master.start()
        wait_until(lambda: cluster.registrations() >= 2, what="the worker is with the new master")
        assert [one["kind"] for one in cluster.status()["workers"][0]["unfit"]] == ["health"]
        job = cluster.submit("/bin/true")
        (tmp_path / "well").write_text("")
        cluster.wait_for(job, "FINISHED")
