"""Uploaded files on a worker: which are used again, which are fetched again, and which are never used."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest

from stoker.core.model.messages import BlobData, FetchBlob, Message
from stoker.core.model.values import Exit
from stoker.worker.jobs.cache import CHUNK, BlobCache

DATA = b"a program " * 60_000  # three chunks
SHA256 = hashlib.sha256(DATA).hexdigest()


class Master:
    """Answers what a cache asks; ``up`` says whether there is one."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.up = True
        self.asked: list[FetchBlob] = []

    def ask(self, message: Message) -> bool:
        assert isinstance(message, FetchBlob)
        if self.up:
            self.asked.append(message)
        return self.up

    def answer_all(self, cache: BlobCache, *, error: str = "") -> None:
        while self.asked:
            message = self.asked.pop(0)
            data = self.data[message.offset : message.offset + message.limit]
            cache.received(
                BlobData(
                    request=message.request,
                    sha256=message.sha256,
                    offset=message.offset,
                    size=len(self.data),
                    data=data,
                    error=error,
                )
            )


@pytest.fixture
def master() -> Master:
    return Master()


@pytest.fixture
def cache(tmp_path: Path, master: Master) -> BlobCache:
    return BlobCache(tmp_path / "cache", master.ask)


def fetch(cache: BlobCache, master: Master, **answer: str) -> str:
    ends: list[Exit | None] = []
    cache.fetch(SHA256, len(DATA), ends.append)
    master.answer_all(cache, **answer)
    assert len(ends) == 1
    return "" if ends[0] is None else ends[0].reason


def test_a_fetched_file_is_there_read_only_and_used_again(cache: BlobCache, master: Master) -> None:
    assert cache.path(SHA256) is None
    assert fetch(cache, master) == ""
    path = cache.path(SHA256)
    assert path is not None and path.read_bytes() == DATA
    assert path.stat().st_mode & 0o222 == 0


def test_one_download_serves_all_who_wait(cache: BlobCache, master: Master) -> None:
    ends: list[Exit | None] = []
    cache.fetch(SHA256, len(DATA), ends.append)
    asked = len(master.asked)
    cache.fetch(SHA256, len(DATA), ends.append)
    assert len(master.asked) == asked
    master.answer_all(cache)
    assert ends == [None, None]


def test_answers_in_any_order_make_the_same_file(cache: BlobCache, master: Master) -> None:
    ends: list[Exit | None] = []
    cache.fetch(SHA256, len(DATA), ends.append)
    assert len(master.asked) == -(-len(DATA) // CHUNK)
    master.asked.reverse()
    master.answer_all(cache)
    assert ends == [None] and cache.path(SHA256) is not None


def test_a_damaged_download_is_not_stored(tmp_path: Path) -> None:
    master = Master(DATA[:-1] + b"X")
    cache = BlobCache(tmp_path / "cache", master.ask)
    assert "damaged" in fetch(cache, master)
    assert cache.path(SHA256) is None and list((tmp_path / "cache").iterdir()) == []


def test_a_refusal_is_the_reason(cache: BlobCache, master: Master, tmp_path: Path) -> None:
    assert fetch(cache, master, error="gone") == "gone"
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_download_goes_on_with_the_next_master(cache: BlobCache, master: Master) -> None:
    ends: list[Exit | None] = []
    cache.fetch(SHA256, len(DATA), ends.append)
    first, *lost = master.asked
    master.asked = [first]
    master.answer_all(cache)
    assert lost and ends == []
    master.up = False
    cache.master_changed()
    assert master.asked == []
    master.up = True
    cache.master_changed()
    assert master.asked[0].offset == CHUNK
    master.answer_all(cache)
    assert ends == [None]


def test_a_file_of_an_earlier_daemon_is_used_only_if_it_is_whole(tmp_path: Path, master: Master) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / SHA256).write_bytes(DATA)
    assert BlobCache(folder, master.ask).path(SHA256) is not None
    (folder / SHA256).write_bytes(DATA[:-1])
    assert BlobCache(folder, master.ask).path(SHA256) is None
    assert not (folder / SHA256).exists()


def test_a_file_that_a_job_changed_is_not_used(cache: BlobCache, master: Master) -> None:
    fetch(cache, master)
    path = cache.path(SHA256)
    assert path is not None
    path.chmod(0o700)
    path.write_bytes(DATA[:-1] + b"X")
    os.utime(path, (0, 0))
    assert cache.path(SHA256) is None and not path.exists()


def test_pruning_keeps_what_was_used_lately(cache: BlobCache, master: Master, tmp_path: Path) -> None:
    fetch(cache, master)
    path = cache.path(SHA256)
    assert path is not None
    cache.prune(3600.0)
    assert path.exists()
    long_ago = time.time() - 7200.0
    assert cache.copy(SHA256, tmp_path / "program")
    os.utime(path, (long_ago, long_ago))
    cache.prune(3600.0)
    assert path.exists()
    cache._used.clear()
    for times in ((time.time(), long_ago), (long_ago, time.time())):  # read lately, stored lately
        os.utime(path, times)
        cache.prune(3600.0)
        assert path.exists()
    os.utime(path, (long_ago, long_ago))
    cache.prune(3600.0)
    assert not path.exists()


def test_a_job_s_copy_is_its_own_and_a_changed_file_is_not_copied(
    cache: BlobCache, master: Master, tmp_path: Path
) -> None:
    fetch(cache, master)
    path = cache.path(SHA256)
    assert path is not None and cache.copy(SHA256, tmp_path / "one")
    (tmp_path / "one").chmod(0o700)
    (tmp_path / "one").write_bytes(b"changed")
    assert cache.copy(SHA256, tmp_path / "two") and (tmp_path / "two").read_bytes() == DATA
    status = path.stat()
    path.chmod(0o700)
    path.write_bytes(DATA[:-1] + b"X")
    path.chmod(status.st_mode & 0o777)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not cache.copy(SHA256, tmp_path / "three") and not (tmp_path / "three").exists()


def test_a_removed_folder_is_made_again(tmp_path: Path, master: Master) -> None:
    cache = BlobCache(tmp_path / "work" / "cache", master.ask)
    shutil.rmtree(tmp_path / "work")
    assert fetch(cache, master) == ""
    cache.prune(0.0)
    shutil.rmtree(tmp_path / "work")
    cache.prune(0.0)


def test_a_disk_that_cannot_be_written_is_the_workers_fault(tmp_path: Path, master: Master) -> None:
    cache = BlobCache(tmp_path / "work" / "cache", master.ask)
    shutil.rmtree(tmp_path / "work")
    (tmp_path / "work").touch()
    ends: list[Exit | None] = []
    cache.fetch(SHA256, len(DATA), ends.append)
    assert ends[0] is not None and ends[0].refused and "cannot write" in ends[0].reason
    assert master.asked == []
