"""Releases on a host: one that does not start is never installed, and the ones in use stay."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ansible", reason="the collection is tested where Ansible is installed")

from plugins.module_utils.host_setup import HostSetup
from stoker.io.disk import sha256_of
from tests.support.wait import wait_until


class Failed(Exception):
    """The module ended with a message."""


def fail(*, msg: str) -> None:
    raise Failed(msg)


def host(prefix: Path, release: str, **params: Any) -> HostSetup:
    made: Any = SimpleNamespace(
        params={"prefix": str(prefix), "release": release, "keep": 1, "keys": [], **params},
        check_mode=False,
        fail_json=fail,
    )
    return HostSetup(made)


def releases(prefix: Path) -> set[str]:
    return {path.name for path in (prefix / "releases").iterdir()}


def install(prefix: Path, *names: str) -> None:
    for age, name in enumerate(names):
        folder = prefix / "releases" / name
        folder.mkdir(parents=True)
        os.utime(folder, (1000 + age, 1000 + age))


def test_a_release_that_does_not_start_leaves_the_current_one(tmp_path: Path) -> None:
    install(tmp_path, "1.0")
    (tmp_path / "current").symlink_to("releases/1.0")
    (tmp_path / "lib").mkdir()
    with tarfile.open(tmp_path / "new.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "lib", "lib")
    with pytest.raises(Failed, match=r"release 2\.0 does not run .* The current release is still 1\.0"):
        host(tmp_path, "2.0").install(str(tmp_path / "new.tar.gz"), sha256_of(tmp_path / "new.tar.gz"))
    assert releases(tmp_path) == {"1.0"}
    assert (tmp_path / "current").readlink() == Path("releases/1.0")


def test_a_release_that_arrives_changed_is_not_unpacked(tmp_path: Path) -> None:
    install(tmp_path, "1.0")
    with tarfile.open(tmp_path / "new.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "releases", "lib")
    for sha256 in ("", "0" * 64):
        with pytest.raises(Failed, match="nothing is installed; remove build/releases on the controller"):
            host(tmp_path, "2.0").install(str(tmp_path / "new.tar.gz"), sha256)
    assert releases(tmp_path) == {"1.0"}


def test_the_current_the_previous_and_those_in_use_stay(tmp_path: Path) -> None:
    install(tmp_path, "1.0", "2.0", "3.0", "4.0")
    (tmp_path / "current").symlink_to("releases/3.0")
    program = tmp_path / "releases/1.0/sleep"
    shutil.copy2(shutil.which("sleep") or "/bin/sleep", program)
    made = host(tmp_path, "4.0")
    with subprocess.Popen([program, "600"]) as user:
        cmdline = Path(f"/proc/{user.pid}/cmdline")
        wait_until(lambda: str(program) in cmdline.read_text(), what="the program is there")
        made.switch()
        made.prune()
        user.kill()
    assert releases(tmp_path) == {"1.0", "3.0", "4.0"}
    made.prune()
    assert releases(tmp_path) == {"3.0", "4.0"}


def test_as_many_more_are_kept_as_asked_for(tmp_path: Path) -> None:
    install(tmp_path, "1.0", "2.0", "3.0", "4.0", "5.0")
    (tmp_path / "current").symlink_to("releases/4.0")
    made = host(tmp_path, "5.0", keep=2)
    made.switch()
    made.prune()
    assert releases(tmp_path) == {"3.0", "4.0", "5.0"}
