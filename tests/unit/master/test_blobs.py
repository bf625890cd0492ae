"""Uploaded files on a master: stored by content or not at all."""

from __future__ import annotations

import hashlib
import os
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stoker.core.model.messages import (
    BlobData,
    Failed,
    FetchBlob,
    FindMissingBlobs,
    Message,
    MissingBlobs,
    UploadChunk,
    UploadStatus,
)
from stoker.master.blobs import MAX_CHUNK, UNUSED_FOR, BlobStore

DATA = b"a program"
SHA256 = hashlib.sha256(DATA).hexdigest()
PEER = b"client/1"


class Bench:
    """A store whose loop is this thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: list[tuple[bytes, Message]] = []
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.store = BlobStore(
            folder,
            max_bytes=1000,
            reply=lambda peer, message: self.answers.append((peer, message)),
            in_loop=self._calls.put,
        )

    def upload(self, data: bytes, *, sha256: str = SHA256, offset: int = 0, size: int | None = None) -> Message:
        chunk = UploadChunk(
            request=1, sha256=sha256, offset=offset, size=len(data) if size is None else size, data=data
        )
        before = len(self.answers)
        self.store.receive(PEER, chunk)
        if len(self.answers) == before:
            self._calls.get(timeout=10)()
        assert len(self.answers) == before + 1
        return self.answers[-1][1]

    def fetch(self, **question: int) -> BlobData:
        self.store.fetch(PEER, FetchBlob(request=2, sha256=SHA256, **{"offset": 0, "limit": 100, **question}))
        answer = self.answers[-1][1]
        assert isinstance(answer, BlobData)
        return answer

    def missing(self) -> tuple[str, ...]:
        self.store.ask(PEER, FindMissingBlobs(request=3, sha256s=(SHA256,)))
        answer = self.answers[-1][1]
        assert isinstance(answer, MissingBlobs)
        return answer.sha256s

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "uploads")
    yield bench
    bench.store.close()


def test_an_upload_in_chunks_is_stored_once_and_handed_out(bench: Bench) -> None:
    assert bench.missing() == (SHA256,)
    answer = bench.upload(DATA[:4], size=len(DATA))
    assert isinstance(answer, UploadStatus) and (answer.received, answer.complete) == (4, False)
    answer = bench.upload(DATA[4:], offset=4, size=len(DATA))
    assert isinstance(answer, UploadStatus) and answer.complete
    assert bench.missing() == () and bench.files() == [SHA256]
    assert bench.fetch().data == DATA
    answer = bench.upload(DATA)
    assert isinstance(answer, UploadStatus) and answer.complete


def test_an_upload_with_another_content_is_not_stored(bench: Bench) -> None:
    answer = bench.upload(b"something")
    assert isinstance(answer, Failed) and "SHA-256 differs" in answer.reason
    assert bench.files() == [] and bench.missing() == (SHA256,)


def test_more_data_than_announced_is_not_stored(bench: Bench) -> None:
    assert isinstance(bench.upload(DATA + b"more", size=len(DATA)), Failed)
    assert bench.files() == []


@pytest.mark.parametrize("sha256", ["../escape", "a" * 63, "A" * 64, ""])
def test_a_name_that_is_not_a_hash_is_rejected(bench: Bench, sha256: str) -> None:
    answer = bench.upload(DATA, sha256=sha256)
    assert isinstance(answer, Failed) and answer.code == "bad-request"
    assert sorted(path.name for path in bench.folder.parent.iterdir()) == ["uploads"] and bench.files() == []


def test_a_file_over_the_limit_is_rejected_with_the_setting(bench: Bench) -> None:
    answer = bench.upload(DATA, size=1001)
    assert isinstance(answer, Failed) and "spark.stoker.upload.maxSize" in answer.reason
    assert bench.files() == []


def test_a_chunk_that_is_too_large_is_rejected(bench: Bench) -> None:
    assert isinstance(bench.upload(b"x" * (MAX_CHUNK + 1), size=900), Failed)


def test_a_gap_starts_the_upload_again(bench: Bench) -> None:
    bench.upload(DATA[:4], size=len(DATA))
    assert isinstance(bench.upload(DATA[5:], offset=5, size=len(DATA)), Failed)
    assert bench.files() == []


def test_half_an_upload_of_a_lost_peer_is_removed(bench: Bench) -> None:
    bench.upload(DATA[:4], size=len(DATA))
    assert len(bench.files()) == 1
    bench.store.peer_gone(b"client/2")
    assert len(bench.files()) == 1
    bench.store.peer_gone(PEER)
    assert bench.files() == []


def test_a_master_s_restart_keeps_whole_files_and_removes_half_ones(bench: Bench) -> None:
    bench.upload(DATA)
    (bench.folder / f"{SHA256}.part-1234").write_bytes(b"half")
    again = Bench(bench.folder)
    try:
        assert again.missing() == () and again.files() == [SHA256]
    finally:
        again.store.close()


def test_pruning_removes_what_nobody_needs_and_nobody_used_for_a_day(bench: Bench) -> None:
    bench.upload(DATA)
    bench.store.prune(set())
    assert bench.files() == [SHA256]
    then = time.time() - UNUSED_FOR - 60
    os.utime(bench.folder / SHA256, (then, then))
    bench.store.prune({SHA256})
    assert bench.files() == [SHA256]
    bench.store.prune(set())
    assert bench.files() == [] and bench.missing() == (SHA256,)
    assert "submit again" in bench.fetch().error


def test_a_question_outside_the_file_gives_no_data(bench: Bench) -> None:
    bench.upload(DATA)
    assert bench.fetch(offset=-5, limit=-1).data == b""
    assert bench.fetch(offset=5000).data == b""
    assert bench.fetch(offset=2, limit=3).data == DATA[2:5]
