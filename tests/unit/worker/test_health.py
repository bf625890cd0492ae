"""Measurements of a host: health scripts that hang, flood or break, disks, probes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stoker.config.types import parse_free_disk
from stoker.config.worker import HealthConfig, MinFree
from stoker.core.model.values import Unfit
from stoker.errors import UsageError
from stoker.worker.health import HostWatch, probe, run_script, shortage
from tests.support.wait import wait_until

ENVIRON = {"PATH": "/usr/bin:/bin"}


def script(folder: Path, text: str) -> Path:
    path = folder / "check"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("exit 0", ""),
        ("echo noise; exit 0", ""),
        ("echo the fan is broken; echo more; exit 1", "the fan is broken"),
        ("exit 3", "failed with exit code 3"),
        ("printf '\\033[31m\\001\\n\\nred\\n'; exit 1", "?[31m?"),
        ("yes garbage | head -c 3000000; exit 1", "garbage"),
        ("kill -9 $$", "failed with exit code -9"),
        ("sleep 60 & exit 0", ""),
        ("exec >&- 2>&-; exit 4", "failed with exit code 4"),
    ],
)
def test_what_a_script_says(tmp_path: Path, text: str, says: str) -> None:
    begun = time.monotonic()
    found = run_script(script(tmp_path, text), ENVIRON, 10.0)
    assert (says in found) if says else (found == "")
    assert len(found.splitlines()) <= 1
    assert time.monotonic() - begun < 9


@pytest.mark.parametrize("ends", ["exit 3", "sleep 60"])
def test_what_a_script_starts_in_a_session_of_its_own_is_killed_too(tmp_path: Path, ends: str) -> None:
    pid = tmp_path / "pid"
    begins = f"setsid sh -c 'echo $$ >{pid}.new; mv {pid}.new {pid}; sleep 62; true' &"
    waits = f"while [ ! -e {pid} ]; do sleep 0.01; done"
    run_script(script(tmp_path, f"{begins} {waits}; {ends}"), ENVIRON, 5.0 if ends == "exit 3" else 1.0)
    child = Path("/proc", pid.read_text().strip(), "stat")
    wait_until(lambda: not child.exists() or "Z" in child.read_text(), what="gone")


@pytest.mark.parametrize(
    "text", ["sleep 60", "exec >&- 2>&-; sleep 60", "trap '' TERM; while :; do echo x; sleep 0.01; done"]
)
def test_a_script_that_hangs_is_killed_with_all_it_started(tmp_path: Path, text: str) -> None:
    pid = tmp_path / "pid"
    found = run_script(script(tmp_path, f"env -i sleep 61 & echo $! >{pid}; {text}"), ENVIRON, 0.5)
    assert "has not ended after 0.5 s" in found
    child = int(pid.read_text())
    wait_until(
        lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text(), what="gone"
    )


def test_a_script_that_others_can_change_is_not_run(tmp_path: Path) -> None:
    path = script(tmp_path, f"touch {tmp_path}/ran")
    path.chmod(0o757)
    found = run_script(path, ENVIRON, 5.0)
    assert found == f"health check {path} is not run, because other users can change it: chmod o-w {path}"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("make", "says"), [(False, "No such file"), (True, "Permission denied")])
def test_a_script_that_cannot_run(tmp_path: Path, make: bool, says: str) -> None:
    path = tmp_path / "check"
    if make:
        path.write_text("")
    found = run_script(path, ENVIRON, 5.0)
    assert str(path) in found and says in found


def test_room_on_a_disk(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    free, percent = status.f_bavail * status.f_frsize, 100 * status.f_bavail / status.f_blocks
    assert shortage(tmp_path, MinFree(percent=0.0, size=2**62)) == ""
    assert shortage(tmp_path, MinFree(percent=100.0, size=0)) == ""
    just = MinFree(percent=100.0, size=int(free / 1.1))
    assert shortage(tmp_path / "not" / "there", just) == ""
    assert "MiB free" in shortage(tmp_path, just, 1.2)  # enough to go on, too little to begin again
    assert "MiB free" in shortage(tmp_path, MinFree(percent=percent + 1, size=2**62))


def test_a_disk_that_was_full_needs_more_room_to_count_as_well_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [99]  # blocks of a megabyte, of 1000

    class Status:
        f_frsize, f_blocks = 2**20, 1000

        @property
        def f_bavail(self) -> int:
            return free[0]

    monkeypatch.setattr(os, "statvfs", lambda _: Status())
    found: list[tuple[Unfit, ...]] = []
    watch = HostWatch(
        HealthConfig(min_free=MinFree(percent=50.0, size=100 * 2**20), script=None, interval=0.02),
        [tmp_path],
        ENVIRON,
        measured=found.append,
        probed=lambda: None,
        in_loop=lambda call: call(),
    )
    try:
        for blocks, kinds in ((99, ["disk"]), (119, ["disk"]), (120, []), (101, []), (99, ["disk"])):
            free[0] = blocks
            seen = len(found) + 2  # the measurement after the one that may be under way
            wait_until(lambda seen=seen: len(found) > seen, what="measured")  # type: ignore[misc]
            assert [one.kind for one in found[-1]] == kinds, blocks
    finally:
        watch.close()
    watch._thread.join(5)


def test_sizes() -> None:
    assert parse_free_disk("5%,2g") == (5.0, 2 * 2**30)
    assert parse_free_disk(" 2g , 7.5% ") == (7.5, 2 * 2**30)
    assert parse_free_disk("5%") == (5.0, 2**62)
    assert parse_free_disk("0") is None
    for text in ("", "x", "105%", "-1%", "5%,x", "5 %%"):
        with pytest.raises(UsageError, match="5%,2g"):
            parse_free_disk(text)


def test_a_probe(tmp_path: Path) -> None:
    assert probe([tmp_path / "new"])
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("")
    assert not probe([tmp_path / "file"])


def test_a_worker_registers_once_its_host_has_been_measured(tmp_path: Path) -> None:
    path = script(tmp_path, f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; exit 1")
    found: list[tuple[Unfit, ...]] = []
    watch = HostWatch(
        HealthConfig(min_free=None, script=path, interval=30.0),
        [tmp_path],
        ENVIRON,
        measured=found.append,
        probed=lambda: None,
        in_loop=lambda call: call(),
    )
    try:
        assert not watch.may_register
        (tmp_path / "go").write_text("")
        wait_until(lambda: watch.may_register, what="measured")
        assert [one.kind for one in found[0]] == ["health"]
    finally:
        watch.close()
    watch._thread.join(5)


def test_the_watch_reports_and_ends(tmp_path: Path) -> None:
    found: list[tuple[Unfit, ...]] = []
    probes: list[bool] = []
    path = script(tmp_path, f"test -e {tmp_path}/well || exit 1")
    config = HealthConfig(min_free=None, script=path, interval=0.1)
    watch = HostWatch(
        config,
        [tmp_path],
        ENVIRON,
        measured=found.append,
        probed=lambda: probes.append(True),
        in_loop=lambda call: call(),
    )
    try:
        wait_until(lambda: len(found) > 1, what="measured twice")
        assert [one.kind for one in found[-1]] == ["health"]
        assert found[0] == found[1]  # with the same time
        (tmp_path / "well").write_text("")
        wait_until(lambda: found[-1] == (), what="well")
        watch.want_probe(True)
        wait_until(lambda: probes, what="probed")
    finally:
        watch.close()
    watch._thread.join(5)
    assert not watch._thread.is_alive()
