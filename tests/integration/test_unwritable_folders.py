"""A daemon whose state folder or HOME cannot be written prints one line, which names the setting to change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import free_port
from tests.support.disks import disk_of_its_own, fill

MASTER = ["master", "-h", "127.0.0.1", "--webui-port", "0", "-p"]
WORKER = ["worker", "-h", "127.0.0.1", "--webui-port", "0"]


def refused(words: list[str], **environ: Path) -> str:
    """Run a daemon that does not start; return its one line on stderr, without the log."""
    keep = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    env = {**keep, "LC_ALL": "C.UTF-8", **{name: str(path) for name, path in environ.items()}}
    done = subprocess.run(
        [sys.executable, "-m", "stoker", *words], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0 and done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if " stoker.master: " not in line]
    assert line.startswith("stoker: ")
    return line


def daemon(kind: str) -> list[str]:
    port = str(free_port())
    return [*MASTER, port] if kind == "master" else [*WORKER, f"spark://127.0.0.1:{port}"]


@pytest.mark.parametrize("kind", ["master", "worker"])
def test_a_home_that_is_read_only(tmp_path: Path, kind: str) -> None:
    """The line names what to set; with that, the next one."""
    with disk_of_its_own(tmp_path / "home", "ro") as home:
        line = refused(daemon(kind), HOME=home)
        assert f"{home}/" in line and "Read-only file system" in line and "set STOKER_STATE_DIR" in line
        line = refused(daemon(kind), HOME=home, STOKER_STATE_DIR=tmp_path / "state")
        assert f"{home}/" in line and "Read-only file system" in line and "set STOKER_KEYS_DIR" in line


def test_a_state_folder_on_a_full_disk(tmp_path: Path) -> None:
    with disk_of_its_own(tmp_path / "disk") as disk:
        (disk / "state").mkdir()
        fill(disk)
        line = refused(daemon("master"), HOME=tmp_path, STOKER_STATE_DIR=disk / "state")
        assert f"{disk}/state/" in line and "No space left on device" in line and "set STOKER_STATE_DIR" in line
