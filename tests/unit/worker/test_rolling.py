"""Rolled outputs: what the keeper writes and the worker reads, at any time and with any retention."""

from __future__ import annotations

import gzip
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.worker.jobs import output as output_module
from stoker.worker.jobs.output import NotAFile, Outputs
from stoker.worker.keeper import parts as parts_module
from stoker.worker.keeper import rolling
from stoker.worker.keeper.messages import Rolling
from stoker.worker.keeper.parts import member, part_name, rolled_parts
from stoker.worker.keeper.rolling import RollingLog, RollingLogs

BY_SIZE = {"strategy": "size", "interval": 1e9, "max_bytes": 1000, "max_files": -1, "compress": False}


class Writer:
    """A job's stdout through the keeper's rolling logs."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.path = folder / "stdout"
        self.logs = RollingLogs()
        read_fd, self.pipe = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read_fd, False)
        self.logs.add([RollingLog("job", read_fd, str(self.path), cast("Rolling", {**BY_SIZE, **more}))])
        self.everything = b""

    def write(self, data: bytes) -> None:
        os.write(self.pipe, data)
        self.everything += data
        for descriptor in list(self.logs.descriptors):
            self.logs.pump(descriptor)

    def compress_all(self) -> None:
        while self.logs.is_behind:
            self.logs.compress()

    def end(self) -> None:
        os.close(self.pipe)
        self.logs.drain("job")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Callable[..., Writer]]:
    made = []

    def make(**more: Any) -> Writer:
        made.append(Writer(tmp_path, **more))
        return made[-1]

    yield make
    for one in made:
        one.end()


def read(path: Path, offset: int = 0, limit: int = 1 << 30) -> tuple[int, bytes]:
    with Outputs(rolls=True).open(path, may_be_rolled=True) as output:
        return output.read(offset, limit)


@pytest.mark.parametrize("compress", [False, True])
def test_the_whole_output_is_read_over_its_parts(writer: Callable[..., Writer], compress: bool) -> None:
    log = writer(compress=compress)
    rng = random.Random(5)
    for _ in range(40):
        log.write(rng.randbytes(rng.randrange(1, 400)))
        if rng.random() < 0.5:
            log.logs.compress()
        assert read(log.path) == (0, log.everything)
    log.compress_all()
    suffixes = {path.suffix for path in log.path.parent.glob("stdout--*")}
    assert suffixes == ({".gz"} if compress else {""})
    assert read(log.path) == (0, log.everything)
    assert read(log.path, 1234, 777) == (1234, log.everything[1234 : 1234 + 777])
    size = len(log.everything)
    assert read(log.path, size) == (size, b"")
    # Any reader of gzip files reads them too.
    if compress:
        parts = [Path(part.path + ".gz") for part in rolled_parts(str(log.path))]
        assert b"".join(gzip.decompress(part.read_bytes()) for part in parts) + log.path.read_bytes() == log.everything


@pytest.mark.parametrize(("keep", "compress"), [(0, False), (0, True), (1, False), (3, False), (3, True)])
def test_offsets_stay_when_old_parts_are_removed(writer: Callable[..., Writer], keep: int, compress: bool) -> None:
    log = writer(max_files=keep, compress=compress)
    for number in range(30):
        log.write(b"%04d\n" % number * 100)
        log.logs.compress()
    log.compress_all()
    at, data = read(log.path)
    assert at > 10_000
    assert log.everything[at:] == data
    assert len(rolled_parts(str(log.path))) == max(keep, 1)
    assert read(log.path, at + 3, 5) == (at + 3, log.everything[at + 3 : at + 8])
    with Outputs(rolls=True).open(log.path, may_be_rolled=True) as output:
        assert output.size == len(log.everything)
        assert output.first == (at if keep else at - 1000)  # the last part is kept as a name


def test_a_keeper_that_starts_again_goes_on_counting(writer: Callable[..., Writer]) -> None:
    log = writer()
    log.write(b"a" * 1500)
    log.write(b"b" * 700)
    again = writer()
    again.write(b"c" * 900)
    again.write(b"d" * 10)
    assert read(log.path) == (0, log.everything + again.everything)


def test_rolling_by_time_makes_no_empty_parts(writer: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    log = writer(strategy="time", interval=60)
    now += 61
    log.write(b"first\n")
    now += 61
    log.write(b"second\n")
    assert [part[1:3] for part in rolled_parts(str(log.path))] == [(0, 6)]
    assert read(log.path) == (0, b"first\nsecond\n")


def test_a_full_disk_loses_output_and_nothing_else(
    writer: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = writer(compress=True)
    log.write(b"a" * 1200)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    log.write(b"b" * 50)  # it cannot be rolled, and is written all the same
    monkeypatch.undo()
    assert read(log.path) == (0, log.everything)
    log.write(b"c")
    monkeypatch.setattr(rolling, "member", full)
    log.logs.compress()
    assert not log.logs.is_behind
    assert read(log.path) == (0, log.everything)
    assert not list(log.path.parent.glob(".stdout*")), "nothing unfinished is left"


def test_large_parts_are_compressed_in_steps_and_read_anywhere(
    writer: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "MEMBER", 100)
    monkeypatch.setattr(rolling, "TURN", 1)
    log = writer(compress=True)
    log.write(b"".join(b"line %d\n" % number for number in range(150)))
    log.write(b"next")
    steps = 0
    while log.logs.is_behind:
        log.logs.compress()
        assert read(log.path, 333, 444) == (333, log.everything[333:777])
        steps += 1
    assert steps > 10
    assert read(log.path, 333, 444) == (333, log.everything[333:777])


# --- reading, whatever is there --------------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=8),
    kinds=st.lists(st.sampled_from(["plain", "gz", "missing", "damaged"]), min_size=8, max_size=8),
    offset=st.integers(0, 500),
    limit=st.integers(0, 200),
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_every_existing_byte_is_found_at_its_place(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    kinds: list[str],
    offset: int,
    limit: int,
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("output") / "stdout"
    everything = random.Random(seed).randbytes(sum(sizes))
    here: list[int] = []  # the offsets of existing bytes
    start = 0
    for size, kind in zip(sizes[:-1], kinds, strict=False):
        data = everything[start : start + size]
        name = part_name(str(path), "2026-01-31--12-00-00", start, start + size)
        if kind == "plain":
            Path(name).write_bytes(data)
        elif kind == "gz":
            Path(name + ".gz").write_bytes(member(data[:20]) + member(data[20:]))
        elif kind == "damaged":
            Path(name + ".gz").write_bytes(member(data)[:-3])
        if kind in ("plain", "gz"):
            here.extend(range(start, start + size))
        start += size
    last = part_name(str(path), "2026-01-31--12-00-00", start, start)  # as after a roll: it says where the file begins
    Path(last).write_bytes(b"")
    path.write_bytes(everything[start:])
    here.extend(range(start, len(everything)))

    with Outputs(rolls=True).open(path, may_be_rolled=True) as output:
        assert output.size == len(everything)
        at, data = output.read(offset, limit)
        assert data == everything[at : at + len(data)]
        assert set(range(at, at + len(data))) <= set(here)
        expected = next((place for place in here if place >= offset), None)
        if limit and expected is not None:
            assert at == expected
            assert data
        # Going on from there everything is found, once and in order.
        found: list[int] = []
        place = 0
        while place < output.size:
            place, data = output.read(place, 7)
            found.extend(range(place, place + len(data)))
            place += len(data)
        assert found == here
        window = output.read_filled(offset, limit)
        wanted = bytes(byte if place in set(here) else 0 for place, byte in enumerate(everything))
        assert window.rstrip(b"\0") == wanted[offset : offset + limit].rstrip(b"\0")


def test_parts_of_earlier_releases_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    Path(f"{path}--2026-01-31--12-00-00.gz").write_bytes(gzip.compress(b"one\n"))
    Path(f"{path}--2026-01-31--12-00-00--1").write_bytes(b"two\n")
    Path(f"{path}--2026-01-31--12-00-00--2.gz").write_bytes(gzip.compress(b"three\n" * 50_000))
    Path(f"{path}--2026-01-31--12-00-01.gz").write_bytes(b"")
    path.write_bytes(b"end\n")
    text = b"one\ntwo\n" + b"three\n" * 50_000 + b"end\n"
    assert read(path) == (0, text)
    assert read(path, 100_000, 30) == (100_000, text[100_000:100_030])


def test_a_part_too_large_for_a_release_that_had_no_members_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_module, "MAX_OLD_PART", 1000)
    path = tmp_path / "stdout"
    Path(f"{path}--2026-01-31--12-00-00.gz").write_bytes(gzip.compress(b"x" * 5000))
    path.write_bytes(b"end\n")
    assert read(path, 0, 5) == (0, b"xxxxx")
    assert read(path, 2000) == (5000, b"end\n")


def test_strange_files_beside_an_output_are_no_parts(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"own")
    (tmp_path / "stdout--notes").write_bytes(b"no")
    (tmp_path / "stdout--2026-01-31--12-00-00--0-5").mkdir()
    (tmp_path / "stdout--2026-01-31--12-00-01--3-4").write_bytes(b"overlaps")
    os.mkfifo(tmp_path / "stdout--2026-01-31--12-00-02--5-9")
    (tmp_path / "stdout--2026-01-31--12-00-03--9-9999").symlink_to("/etc/passwd")
    assert read(path) == (9999, b"own")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NotAFile):
        read(path)


def test_folders_that_do_not_change_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0

    def counted(path: str) -> list[parts_module.Part]:
        nonlocal reads
        reads += 1
        return rolled_parts(path)

    monkeypatch.setattr(output_module, "rolled_parts", counted)
    path = tmp_path / "stdout"
    path.write_bytes(b"x" * 10)
    outputs = Outputs(rolls=True)

    def size() -> int:
        with outputs.open(path, may_be_rolled=True) as output:
            return output.size

    assert [size(), size()] == [10, 10]
    assert reads == 2, "just changed: it may change again"
    long_ago = time.time() - 60
    os.utime(tmp_path, (long_ago, long_ago))
    assert [size(), size(), size()] == [10, 10, 10]
    assert reads == 3
    path.rename(part_name(str(path), "2026-01-31--12-00-00", 0, 10))
    path.write_bytes(b"y" * 5)
    os.utime(tmp_path, (long_ago, long_ago))  # a clock that is coarse, or set back: it is another file
    assert size() == 15
