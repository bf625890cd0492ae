"""A job, or another unix user of a worker's machine, must not run code as the worker, nor read or change the jobs of
others."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from stoker.errors import ConfigError, StokerError
from stoker.io.disk import make_private
from stoker.leader.alone import AloneLeadership
from stoker.recovery.base import StorageFailed
from stoker.recovery.filesystem import FilesystemRecovery
from stoker.worker.slot import Slot
from tests.support.cluster import Cluster

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be a second user")


def of_nobody(folder: Path) -> Path:
    folder.mkdir()
    found = pwd.getpwnam("nobody")
    os.chown(folder, found.pw_uid, found.pw_gid)
    return folder


def test_a_helper_runs_no_code_from_the_folder_that_the_daemon_was_started_in(tmp_path: Path) -> None:
    """The helper fetches from URLs with the worker's rights: code from a folder that others may write would run as the
    worker."""
    mark = tmp_path / "taken-over"
    (tmp_path / "stoker").mkdir()
    (tmp_path / "stoker" / "__init__.py").write_text(f"open({str(mark)!r}, 'w')\n")
    for name in ("fsspec", "encodings_x", "urllib3", "aiohttp", "shutil"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    script = (
        "import subprocess, sys; from stoker.io.isolated import isolated;"
        "sys.exit(subprocess.run(isolated('stoker.io.fetch', 'file:///etc/hostname', sys.argv[1])).returncode)"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(["", *filter(None, [os.environ.get("PYTHONPATH")])])}
    words = [sys.executable, "-I", "-c", script, str(tmp_path / "out")]
    done = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not mark.exists()
    assert (tmp_path / "out").read_bytes() == Path("/etc/hostname").read_bytes()


@as_root
def test_a_folder_made_beforehand_by_another_user_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="belongs to another user"):
        make_private(of_nobody(tmp_path / "stoker-app-20270101000000-0000"))
    with pytest.raises(ConfigError, match="belongs to another user"):
        Slot.take(of_nobody(tmp_path / "work"))
    (tmp_path / "mine").mkdir()
    of_nobody(tmp_path / "mine" / ".stoker")
    with pytest.raises(ConfigError, match="belongs to another user"):
        Slot.take(tmp_path / "mine")


@as_root
def test_a_state_folder_made_beforehand_by_another_user_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StokerError, match="belongs to another user"):
        AloneLeadership(of_nobody(tmp_path / "state")).acquire()
    with pytest.raises(StorageFailed, match="belongs to another user"):
        FilesystemRecovery(of_nobody(tmp_path / "recovery"))


def test_a_link_or_an_open_folder_in_the_place_of_a_job_s_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "app-1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="not a folder"):
        make_private(tmp_path / "app-1")
    (tmp_path / "app-2").mkdir()
    (tmp_path / "app-2").chmod(0o777)
    with pytest.raises(PermissionError, match="other users may write"):
        make_private(tmp_path / "app-2")
    make_private(tmp_path / "app-3")
    assert (tmp_path / "app-3").stat().st_mode & 0o777 == 0o700


@pytest.mark.cluster
def test_a_job_does_not_change_the_uploaded_file_of_the_next_one(tmp_path: Path) -> None:
    """Both jobs have the same file, so the worker stores it once."""
    program = (
        "import os, sys\n"
        "print('honest')\n"
        "os.chmod(sys.argv[0], 0o700)\n"
        "before = os.stat(sys.argv[0])\n"
        "size = os.path.getsize(sys.argv[0])\n"
        "text = \"print('poisoned')\"\n"
        "open(sys.argv[0], 'r+').write(text + '#' * (size - len(text) - 1))\n"
        "os.utime(sys.argv[0], ns=(before.st_atime_ns, before.st_mtime_ns))\n"
        "os.chmod(sys.argv[0], before.st_mode & 0o777)\n"
    )
    with Cluster(tmp_path) as cluster:
        script = cluster.script("job.py", program)
        for _ in range(2):
            job = cluster.submit(script)
            cluster.wait_for(job, "FINISHED")
            assert cluster.cli("logs", job).stdout == "honest\n"
        folder = next(path for path in tmp_path.rglob(job) if path.is_dir())
        assert folder.stat().st_mode & 0o777 == 0o700
