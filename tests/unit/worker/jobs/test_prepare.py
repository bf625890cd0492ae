"""The files of a driver: who fetches them, and what happens to a job that is killed meanwhile."""

from __future__ import annotations

import os
import queue
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from stoker.core.model.values import Artifact, DriverDescription, Exit
from stoker.core.worker.jobs import DriverJob
from stoker.worker.jobs.cache import BlobCache
from stoker.worker.jobs.prepare import Preparer


class Place:
    """A Preparer over real folders; ``turn`` is its loop's next call."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.ended: list[tuple[str, Exit | None]] = []
        self.preparer = Preparer(
            folder / "work",
            (),
            BlobCache(folder / "cache", lambda _: True),
            environ=environ,
            prepared=lambda key: self.ended.append((key, None)),
            failed=lambda key, exit: self.ended.append((key, exit)),
            in_loop=self.calls.put,
        )

    def turn(self) -> None:
        self.calls.get(timeout=30)()

    def prepare(self, url: str, env: dict[str, str] | None = None) -> DriverJob:
        artifact = Artifact(name="t", url=url)
        driver = DriverDescription(kind="program", main="t", artifacts=(artifact,), env=env or {})
        job = DriverJob(
            key="k", cores=1, memory_mib=1, driver_id="driver-20270101000000-0000", attempt=1, driver=driver
        )
        self.preparer.prepare(job)
        return job


@pytest.mark.parametrize("whose", ["the submitter's", "the worker's"])
def test_no_environment_runs_anything_in_the_process_that_fetches(tmp_path: Path, whose: str) -> None:
    """The fetching process has the worker's rights, and Python would start with what PYTHONPATH leads to."""
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    env = {"PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))}
    place = Place(tmp_path, env if whose == "the worker's" else {})
    place.prepare("http://127.0.0.1:1/t", env if whose == "the submitter's" else {})
    while not place.ended:
        place.turn()
    place.preparer.close()
    assert not (tmp_path / "ran").exists()


def test_a_job_that_was_killed_while_its_files_came_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("content")
    place = Place(tmp_path, {})
    job = place.prepare((tmp_path / "source").as_uri())
    place.preparer.cancel(job.key)
    place.turn()
    place.preparer.close()
    assert place.ended == []


def test_a_file_is_there_when_its_job_is_prepared(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("content")
    place = Place(tmp_path, {})
    job = place.prepare((tmp_path / "source").as_uri())
    place.turn()
    place.preparer.close()
    assert place.ended == [("k", None)]
    assert [path.name for path in place.preparer.folder(job).iterdir()] == ["t"]
    assert (place.preparer.folder(job) / "t").read_text() == "content"


def test_a_killed_job_s_download_ends(tmp_path: Path) -> None:
    """The server never answers: the process that asks it would wait for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for turns in (0, 1):  # killed before the loop knows of the process, and after
            place = Place(tmp_path, {})
            job = place.prepare(f"http://127.0.0.1:{server.getsockname()[1]}/t")
            for _ in range(turns):
                place.turn()
            place.preparer.cancel(job.key)
            for _ in range(2 - turns):  # the process has started; it has ended
                place.turn()
            place.preparer.close()
            assert place.ended == []


def test_a_restarted_driver_finds_the_files_of_its_first_attempt(tmp_path: Path) -> None:
    place = Place(tmp_path, {})
    job = place.prepare("local:/nowhere/t")  # as it is on the worker, even if it does not exist
    place.prepare("local:/nowhere/t")
    place.preparer.close()
    assert place.ended == [("k", None), ("k", None)]
    assert (place.preparer.folder(job) / "t").readlink() == Path("/nowhere/t")


def test_half_a_file_is_not_left(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x" * (4 << 20))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        place = Place(tmp_path, {})
        job = place.prepare((tmp_path / "source").as_uri())
        place.turn()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    place.preparer.close()
    ((_, problem),) = place.ended
    assert problem is not None and "File too large" in problem.reason
    assert list(place.preparer.folder(job).iterdir()) == []


def test_a_worker_that_is_killed_while_it_copies_leaves_no_half_a_file_under_its_name(tmp_path: Path) -> None:
    """A restarted driver uses the files that are there."""
    (tmp_path / "source").write_bytes(b"x" * (4 << 20))
    url = (tmp_path / "source").as_uri()
    worker = os.fork()
    if worker == 0:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
            place = Place(tmp_path, {})
            place.prepare(url)
            place.turn()
        finally:
            os._exit(0)
    _, status = os.waitpid(worker, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXFSZ
    place = Place(tmp_path, {})
    job = place.prepare(url)
    while not place.ended:
        place.turn()
    place.preparer.close()
    assert (place.preparer.folder(job) / "t").stat().st_size == 4 << 20
