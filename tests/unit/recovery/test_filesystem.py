"""What is particular to the FILESYSTEM engine: files, damage, full disks, other versions."""

from __future__ import annotations

import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from stoker.recovery.base import StorageFailed
from stoker.recovery.filesystem import FilesystemRecovery
from tests.support.recovery import states, writer

RECORDS: dict[str, bytes | None] = {f"driver/{number}": b"record %d;" % number * 30 for number in range(60)}


def read_all(directory: Path) -> dict[str, bytes]:
    engine = FilesystemRecovery(directory)
    try:
        return engine.read()
    finally:
        engine.close()


def stored(directory: Path, records: dict[str, bytes | None] = RECORDS) -> Path:
    """A store with these records, closed; returns the database."""
    engine = FilesystemRecovery(directory)
    engine.commit(records)
    engine.close()
    return directory / "recovery.sqlite"


def edit(database: Path, statement: str, *arguments: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(database)
    with connection:
        rows = connection.execute(statement, arguments).fetchall()
    connection.close()
    return rows


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "recovery"
    engine = FilesystemRecovery(directory)
    engine.commit(RECORDS)
    assert directory.stat().st_mode & 0o777 == 0o700
    names = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert names == dict.fromkeys(["recovery.sqlite", "recovery.sqlite-wal", "recovery.holder"], 0o600)
    engine.close()
    assert [path.name for path in directory.iterdir()] == ["recovery.sqlite"]


def test_the_names_of_a_new_store_survive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    FilesystemRecovery(tmp_path / "recovery").close()
    assert {tmp_path, tmp_path / "recovery"} <= set(flushed)


def test_one_commit_is_one_durable_append(tmp_path: Path) -> None:
    """No shared memory (NFS), a write-ahead log, and every commit synchronous."""
    engine = FilesystemRecovery(tmp_path)
    log = tmp_path / "recovery.sqlite-wal"
    database = (tmp_path / "recovery.sqlite").read_bytes()
    before = log.stat().st_size
    engine.commit(RECORDS)
    assert log.stat().st_size > before
    assert (tmp_path / "recovery.sqlite").read_bytes() == database
    assert not (tmp_path / "recovery.sqlite-shm").exists()
    assert engine._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    engine.close()


def test_a_batch_refused_half_way_leaves_no_trace(tmp_path: Path) -> None:
    database = stored(tmp_path, {"driver/1": b"one"})
    refuse = "BEFORE INSERT ON records WHEN NEW.key = CAST('driver/3' AS BLOB) BEGIN SELECT RAISE(FAIL, 'refused'); END"
    edit(database, f"CREATE TRIGGER refuse {refuse}")
    engine = FilesystemRecovery(tmp_path)
    for _ in range(2):
        with pytest.raises(StorageFailed, match="refused"):
            engine.commit({"driver/1": None, "driver/2": b"two", "driver/3": b"three", "driver/4": b"four"})
        assert engine.read() == {"driver/1": b"one"}
    engine.commit({"driver/2": b"two"})
    engine.close()
    assert read_all(tmp_path) == {"driver/1": b"one", "driver/2": b"two"}


def test_an_attempt_in_the_same_process_does_not_open_the_door_to_others(tmp_path: Path) -> None:
    """POSIX locks of a process are gone when it closes *any* descriptor of the file."""
    engine = FilesystemRecovery(tmp_path)
    with pytest.raises(StorageFailed, match=f"process {os.getpid()} on "):
        FilesystemRecovery(tmp_path)
    program = f"from pathlib import Path; from {FilesystemRecovery.__module__} import FilesystemRecovery as Engine"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nEngine(Path({str(tmp_path)!r}))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and f"is held by another master (process {os.getpid()} on" in done.stderr
    engine.close()


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "argument"),
    [
        ("UPDATE records SET value = substr(value, 1, 40) WHERE key = CAST(? AS BLOB)", "driver/7"),
        ("UPDATE records SET value = x'' WHERE key = CAST(? AS BLOB)", "driver/7"),
        ("UPDATE records SET value = 'text' WHERE key = CAST(? AS BLOB)", "driver/7"),
        ("UPDATE records SET value = x'02' || substr(value, 2) WHERE key = CAST(? AS BLOB)", "driver/7"),
        ("UPDATE records SET key = CAST('driver/70' AS BLOB) WHERE key = CAST(? AS BLOB)", "driver/7"),
        ("UPDATE records SET key = x'ff00' WHERE key = CAST(? AS BLOB)", "driver/7"),
        ("UPDATE records SET key = 'driver/7' WHERE key = CAST(? AS BLOB)", "driver/7"),
    ],
    ids=["torn", "empty", "not bytes", "of a newer version", "under another name", "under no name", "foreign"],
)
def test_one_bad_record_is_put_aside_and_the_rest_recovered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, statement: str, argument: str
) -> None:
    database = stored(tmp_path)
    edit(database, statement, argument)
    with caplog.at_level(logging.ERROR, "stoker.recovery"):
        found = read_all(tmp_path)
    assert found == {name: data for name, data in RECORDS.items() if name != "driver/7"}
    assert len(caplog.messages) == 1 and str(database) in caplog.messages[0]
    assert edit(database, "SELECT count(*) FROM quarantine") == [(1,)]
    caplog.clear()
    assert read_all(tmp_path) == found
    assert not caplog.messages, "once is enough"


def test_what_is_put_aside_can_be_had_back(tmp_path: Path) -> None:
    database = stored(tmp_path)
    engine = FilesystemRecovery(tmp_path)
    engine.quarantine("driver/7", "of no use today")
    engine.close()
    assert "driver/7" not in read_all(tmp_path)
    rows = edit(database, "SELECT CAST(key AS TEXT), reason FROM quarantine")
    assert rows == [("driver/7", "of no use today")]
    edit(database, "INSERT INTO records SELECT key, value FROM quarantine")
    assert read_all(tmp_path) == RECORDS


def test_flipped_bits_never_become_data(tmp_path: Path) -> None:
    """300 stores with one byte changed somewhere: each is refused in one line, or gives records as they were, and then
    every other one has been put aside."""
    original = stored(tmp_path / "whole").read_bytes()
    rng = random.Random(5)
    refused = quarantined = 0
    logging.getLogger("stoker.recovery").setLevel(logging.CRITICAL)
    try:
        for _ in range(300):
            damaged = bytearray(original)
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            directory = tmp_path / "damaged"
            directory.mkdir()
            (directory / "recovery.sqlite").write_bytes(damaged)
            try:
                found = read_all(directory)
            except StorageFailed as error:
                refused += 1
                assert str(directory) in str(error) and "\n" not in str(error)
            else:
                assert found.items() <= RECORDS.items()
                aside = edit(directory / "recovery.sqlite", "SELECT count(*) FROM quarantine")
                assert aside == [(len(RECORDS) - len(found),)]
                quarantined += len(found) < len(RECORDS)
            shutil.rmtree(directory)
    finally:
        logging.getLogger("stoker.recovery").setLevel(logging.NOTSET)
    assert quarantined > 100
    assert refused > 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"this is not a database, it only has its name" * 100,
        lambda data: data[: len(data) // 2],
        lambda data: data[:4096] + b"\xff" * (len(data) - 4096),
        lambda data: data.replace(b"tablerecordsrecords", b"tabler\xe5cordsrecords"),
    ],
    ids=["foreign", "half", "overwritten", "with a schema that is no text"],
)
def test_a_damaged_database_refuses_to_open_and_stays(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    database = stored(tmp_path)
    damaged = damage(database.read_bytes())
    database.write_bytes(damaged)
    with pytest.raises(StorageFailed, match=r"is damaged .* move it aside") as caught:
        FilesystemRecovery(tmp_path)
    assert "\n" not in str(caught.value)
    assert database.read_bytes() == damaged, "it is the operator's to decide"
    database.rename(tmp_path / "aside")
    assert read_all(tmp_path) == {}


def test_a_torn_log_gives_a_state_between_commits(tmp_path: Path) -> None:
    """A power cut may leave any beginning of the write-ahead log: it must read as the store after some commit."""
    with writer("filesystem", tmp_path / "whole") as victim:
        assert victim.stdout is not None
        for _ in range(40):
            victim.stdout.readline()
    known = list(islice(states(), 2000))
    log = (tmp_path / "whole" / "recovery.sqlite-wal").read_bytes()
    rng = random.Random(2)
    commits = []
    for length in sorted({0, len(log), *(rng.randrange(len(log)) for _ in range(40))}):
        directory = tmp_path / f"torn-{length}"
        shutil.copytree(tmp_path / "whole", directory)
        with (directory / "recovery.sqlite-wal").open("r+b") as file:
            file.truncate(length)
        commits.append(known.index(read_all(directory)))
    assert commits == sorted(commits), "the longer the log, the later the state"
    assert len(set(commits)) > 5
    assert commits[-1] >= 40


# --- surroundings ----------------------------------------------------------------------------------------------------


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    database = stored(tmp_path)
    edit(database, "PRAGMA user_version = 2")
    before = database.read_bytes()
    with pytest.raises(StorageFailed, match="version 2, this Stoker knows 1: use the newer Stoker"):
        FilesystemRecovery(tmp_path)
    assert database.read_bytes() == before


def test_a_store_whose_making_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "recovery.sqlite").touch()
    assert read_all(tmp_path) == {}


@pytest.mark.parametrize("place", ["file/recovery", "file"])
def test_a_directory_that_cannot_be(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match=r"spark\.deploy\.recoveryDirectory") as caught:
        FilesystemRecovery(tmp_path / place)
    assert "\n" not in str(caught.value)


MAY_NOT_WRITE = """
import os, sys
from pathlib import Path
from stoker.recovery.base import StorageFailed
from stoker.recovery.filesystem import FilesystemRecovery

if os.geteuid() == 0:  # root may write anywhere
    os.chdir(sys.argv[1])
    os.setgid(65534)
    os.setuid(65534)
try:
    FilesystemRecovery(Path("recovery"))
except StorageFailed as error:
    print(error)
"""


def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "recovery").mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", MAY_NOT_WRITE, "."],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert "Permission denied" in done.stdout and done.stdout.count("\n") == 1


def test_a_database_that_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "recovery.sqlite").mkdir()
    with pytest.raises(StorageFailed, match="cannot use"):
        FilesystemRecovery(tmp_path)


FULL = """
import resource, sys
from pathlib import Path
from stoker.recovery.base import StorageFailed
from stoker.recovery.filesystem import FilesystemRecovery

engine = FilesystemRecovery(Path(sys.argv[1]))
engine.commit({"driver/1": b"one", "driver/2": b"two"})
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
for attempt in range(3):
    try:
        engine.commit({"driver/1": None, "driver/2": bytes(300_000), "driver/3": b"three"})
    except StorageFailed as error:
        assert "cannot write to" in str(error) and "\\n" not in str(error), error
    else:
        raise SystemExit("a full disk took it")
    assert engine.read() == {"driver/1": b"one", "driver/2": b"two"}
engine.commit({"driver/4": b"small enough"})
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
engine.commit({"driver/2": bytes(300_000)})
engine.close()
"""


def test_a_full_disk_loses_the_batch_only(tmp_path: Path) -> None:
    """The disk is full for this process: no file may be larger than 100,000 bytes."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert read_all(tmp_path) == {"driver/1": b"one", "driver/2": bytes(300_000), "driver/4": b"small enough"}
