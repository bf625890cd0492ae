"""Daemons without a service manager: only the process that the pid file names is stopped, and it is certain to stop."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ansible", reason="the collection is tested where Ansible is installed")

from plugins.module_utils.background import Background, start_time

IGNORES_TERM = "trap '' TERM; echo up; while :; do sleep 0.05; done"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    words = ["/bin/sh", "-c", IGNORES_TERM]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as made:
        assert made.stdout is not None and made.stdout.readline() == b"up\n"
        yield made
        made.kill()


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def background(tmp_path: Path, warnings: list[str]) -> Iterator[Background]:
    module: Any = SimpleNamespace(params={"pid_dir": str(tmp_path), "timeout": 0.2}, warn=warnings.append)
    made = Background(module)
    yield made
    made._sockets.cleanup()


def test_another_process_that_has_the_pid_by_now_is_left_alone(
    tmp_path: Path, background: Background, process: subprocess.Popen[bytes]
) -> None:
    file = tmp_path / "stoker-worker-1.pid"
    file.write_text(f"{process.pid} {int(start_time(process.pid)) - 1} abc\n")
    assert background.names("worker") == ["worker-1"]
    assert background.look("worker-1") == (0, "abc")
    background.stop("worker-1", "KILL")
    assert process.poll() is None
    assert not file.exists()


def test_a_daemon_that_does_not_obey_is_killed(
    tmp_path: Path, background: Background, warnings: list[str], process: subprocess.Popen[bytes]
) -> None:
    file = tmp_path / "stoker-worker-1.pid"
    file.write_text(f"{process.pid} {start_time(process.pid)} abc\n")
    assert background.look("worker-1") == (process.pid, "abc")
    background.stop("worker-1", "TERM")
    assert process.wait(10) == -9
    assert "was killed" in warnings[0]
    assert not file.exists()


@pytest.mark.parametrize("content", ["", "\n", "999999999\n", "not a pid file\n"])
def test_a_pid_file_that_was_cut_short_or_overwritten_means_no_process(
    tmp_path: Path, background: Background, content: str
) -> None:
    (tmp_path / "stoker-master.pid").write_text(content)
    assert background.look("master")[0] == 0


def test_a_daemon_s_earlier_logs_are_kept(tmp_path: Path, background: Background) -> None:
    background.params.update(
        {"log_dir": str(tmp_path), "log_max_files": 3, "user": "", "environment": {}, "niceness": 0}
    )
    for number in range(4):
        background.begin({"name": "worker-1", "command": ["/bin/sh", "-c", f"echo start {number}"], "deployment": "d"})
        process, ready = background._starting["worker-1"]
        process.wait(20)
        ready.close()
        (Path(background._sockets.name) / "worker-1").unlink()
    logs = {path.name: path.read_text() for path in tmp_path.glob("*.log*")}
    name = "stoker-worker-1.log"
    assert logs == {name: "start 3\n", f"{name}.1": "start 2\n", f"{name}.2": "start 1\n"}
