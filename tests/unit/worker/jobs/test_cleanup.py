"""Leftovers of ended jobs: which are removed, in which order, and which never."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stoker.config.worker import CleanupConfig
from stoker.worker.jobs.cleanup import Cleaner, ToRemove, ended_at, leftovers
from stoker.worker.jobs.folders import set_aside, set_files_aside

DAY = 86400.0
MIB = 1 << 20
DRIVER, OTHER, THIRD = (f"driver-2026110112000{number}-000{number}" for number in (1, 2, 3))
APP = "app-20261101120000-0001"
EXECUTOR = f"{APP}/0"


class Site:
    """A work directory with its slots; ``clean`` runs one round."""

    def __init__(self, folder: Path) -> None:
        self.work, self.local = folder / "work", folder / "local"
        self.slot = self.work / ".stoker" / "worker-1"
        self.slot.mkdir(parents=True)
        self.local.mkdir()
        self.taken: list[ToRemove] = []

    def job(self, key: str, *, days: float = 3, files: int = 0, logs: int = 0) -> Path:
        """Make a leftover of a job that ended ``days`` ago; ``files`` and ``logs`` are MiB."""
        folder = self.work / key
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "data").write_bytes(os.urandom(files * MIB))
        (folder / "stdout").write_bytes(os.urandom(logs * MIB) + b"said")
        age(folder, days)
        return folder

    def clean(self, *active: str, known: tuple[str, ...] = (), **config: object) -> list[tuple[str, bool]]:
        def take(removal: ToRemove) -> Path | None:
            if removal.is_application:
                return None
            self.taken.append(removal)
            return set_aside(removal.folder) if removal.whole else set_files_aside(removal.folder)

        self.taken.clear()
        settings = CleanupConfig(**{"max_age": 10 * DAY, **config})  # type: ignore[arg-type]
        Cleaner(settings, self.work, (self.local,), self.slot).round(set(active), take, known=set(known))
        return [(removal.key, removal.whole) for removal in self.taken]

    def journal(self, text: str) -> None:
        (self.work / ".stoker" / "worker-2").mkdir(exist_ok=True)
        (self.work / ".stoker" / "worker-2" / "journal").write_text(text)


def age(folder: Path, days: float) -> None:
    then = time.time() - days * DAY
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (then, then), follow_symlinks=False)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_old_leftovers_are_removed_and_nothing_else(site: Site) -> None:
    for key in (DRIVER, EXECUTOR, "mine", "driver-like", f"{APP}/notes"):
        site.job(key)
    (site.work / "app-20261101120000-0009").symlink_to(site.work / "mine")
    assert sorted(site.clean(max_age=DAY)) == [(EXECUTOR, True), (DRIVER, True)]
    assert {path.name for path in site.work.iterdir()} == {
        ".stoker", "mine", "driver-like", APP, "app-20261101120000-0009",
    }  # fmt: skip
    assert [path.name for path in (site.work / APP).iterdir()] == ["notes"]


def test_active_jobs_keep_their_folders_however_old_and_large(site: Site) -> None:
    for key in (DRIVER, EXECUTOR, f"{APP}/1"):
        site.job(key, files=1)
    assert site.clean(DRIVER, EXECUTOR, max_age=0.0, most=(0.0, 0)) == [(f"{APP}/1", True)]


def test_young_leftovers_stay(site: Site) -> None:
    site.job(DRIVER)
    assert site.clean(max_age=4 * DAY) == []
    assert site.clean(max_age=float("inf")) == []


def test_the_last_output_counts_not_only_the_folder_s_own_time(site: Site) -> None:
    folder = site.job(EXECUTOR)
    (folder / "stdout").write_text("said a moment ago")
    assert ended_at(folder) > time.time() - 60
    assert site.clean(max_age=DAY) == []


def test_the_longest_ended_lose_their_files_first(site: Site) -> None:
    site.job(DRIVER, days=1, files=2)
    site.job(OTHER, days=3, files=2)
    site.job(EXECUTOR, days=2, files=2)
    assert site.clean(most=(0.0, 3 * MIB)) == [(OTHER, False), (EXECUTOR, False)]
    assert (site.work / OTHER / "stdout").exists() and not (site.work / OTHER / "sub").exists()
    assert (site.work / DRIVER / "sub" / "data").exists()
    assert site.clean(most=(0.0, 3 * MIB)) == [], "it is a matter of size, not of age"


def test_logs_go_last(site: Site) -> None:
    site.job(DRIVER, days=3, files=1, logs=2)
    site.job(OTHER, days=2, files=1, logs=2)
    assert site.clean(most=(0.0, 3 * MIB)) == [(DRIVER, False), (OTHER, False), (DRIVER, True)]
    assert not (site.work / DRIVER).exists() and (site.work / OTHER / "stdout").exists()


def test_part_of_the_disk_is_a_limit_too(site: Site) -> None:
    site.job(DRIVER, files=1)
    assert site.clean(most=(100.0, 0)) == [] and site.clean(most=None) == []
    assert site.clean(most=(0.0, 0)) == [(DRIVER, False), (DRIVER, True)]


def test_job_of_another_worker_in_this_folder_stays(site: Site) -> None:
    for key in (DRIVER, OTHER, THIRD, EXECUTOR):
        site.job(key)
    site.journal(
        f"b boot\n? {DRIVER}:1 1.0 note\n. {DRIVER}:1\n? {DRIVER}:2 2.0 note\n+ {DRIVER}:2 7 9\n"
        f"? {OTHER}:1 1.0 note\n. {OTHER}:1\n? {EXECUTOR} 1.0 note\ntorn"
    )
    assert sorted(site.clean(max_age=DAY)) == [(OTHER, True), (THIRD, True)]


def test_beside_another_worker_young_leftovers_stay_unless_they_are_this_worker_s(site: Site) -> None:
    for key in (DRIVER, OTHER):
        site.job(key, days=0)
    site.journal("")
    assert site.clean(known=(OTHER,), max_age=0.0) == [(OTHER, True)]


def test_job_that_has_started_again_meanwhile_keeps_its_folder(site: Site) -> None:
    site.job(DRIVER)
    cleaner = Cleaner(CleanupConfig(max_age=DAY), site.work, (), site.slot)
    assert cleaner.round(set(), lambda _: None, known=set()) == 0
    assert (site.work / DRIVER / "stdout").exists()


def test_what_an_earlier_round_began_to_remove_is_removed(site: Site) -> None:
    asides = [set_aside(site.job(key)) for key in (DRIVER, EXECUTOR)]
    scratch = site.local / f"stoker-{APP}"
    scratch.mkdir()
    asides.append(set_aside(scratch))
    site.clean()
    assert not any(aside is None or aside.exists() for aside in asides)


def test_scratch_of_an_application_whose_end_nobody_told_is_removed(site: Site) -> None:
    old, running, other = (
        site.local / name for name in (f"stoker-{APP}", "stoker-app-20261101120000-0002", "blockmgr-1")
    )
    for folder in (old, running, other):
        folder.mkdir()
        age(folder, 3)
    site.clean("app-20261101120000-0002/5", max_age=DAY)
    assert sorted(path.name for path in site.local.iterdir()) == [other.name, running.name]


def test_sizes_are_measured_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.job(DRIVER, files=1)
    cleaner = Cleaner(CleanupConfig(most=(0.0, 100 * MIB)), site.work, (), site.slot)
    cleaner.round(set(), lambda _: None, known=set())
    monkeypatch.setattr("stoker.worker.jobs.cleanup.disk_used", lambda *_, **__: 1 / 0)
    cleaner.round(set(), lambda _: None, known=set())
    assert [leftover.key for leftover in leftovers(site.work)] == [DRIVER]
