"""Another unix user of a machine, or a job, must not make root or a daemon act for them: real processes, a real second user.

The second user is ``nobody``, so most of this runs where the tests run as root.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.wait import wait_until

pytest.importorskip("ansible", reason="the collection is tested where Ansible is installed")

from plugins.module_utils.background import Background, start_time
from plugins.modules import stoker_logs

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be a second user")


class Failed(Exception):
    """Return the module's error message."""


def fail(msg: str, **_: Any) -> None:
    raise Failed(msg)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder as root's that ``nobody`` can reach."""
    for path in (tmp_path, *tmp_path.parents):
        if path.parent == Path("/tmp"):
            os.chmod(path, 0o711)
        elif path.is_relative_to("/tmp") and path != Path("/tmp"):
            os.chmod(path, 0o755)
    return tmp_path


def background(pid_dir: Path, log_dir: Path, state_dir: Path) -> Background:
    params = {
        "pid_dir": str(pid_dir),
        "log_dir": str(log_dir),
        "user": "nobody",
        "environment": {"STOKER_STATE_DIR": str(state_dir)},
        "timeout": 5,
        "niceness": 0,
        "log_max_files": 2,
    }
    module: Any = SimpleNamespace(params=params, warn=print, fail_json=fail)
    return Background(module)


def of_nobody(folder: Path) -> Path:
    folder.mkdir()
    found = pwd.getpwnam("nobody")
    os.chown(folder, found.pw_uid, found.pw_gid)
    return folder


DAEMON = {"name": "master", "command": ["/bin/sleep", "100"], "deployment": "abc"}


@as_root
def test_a_link_of_the_daemons_user_does_not_make_root_write_through_it(shared: Path) -> None:
    """The pid file is written by root: through a link it would replace any file of the machine."""
    state = of_nobody(shared / "state")
    precious = shared / "shadow"
    precious.write_text("root's\n")
    (state / "run").mkdir()
    (state / "run" / "stoker-master.pid").symlink_to(precious)
    (state / "stoker-master.log").symlink_to(precious)
    made = background(state / "run", state, state)
    with pytest.raises(Failed, match="users other than root can change"):
        made.begin(DAEMON)
    assert precious.read_text() == "root's\n"
    made._sockets.cleanup()


@as_root
def test_a_link_in_a_folder_of_root_s_is_not_followed_either(shared: Path) -> None:
    run, precious = shared / "run", shared / "shadow"
    run.mkdir()
    precious.write_text("root's\n")
    (run / "stoker-master.pid").symlink_to(precious)
    made = background(run, run, shared / "state")
    made.begin(DAEMON)
    try:
        pid, deployment = made.look("master")
        assert pid and deployment == "abc"
        assert precious.read_text() == "root's\n"
        assert os.stat(f"/proc/{pid}").st_uid == pwd.getpwnam("nobody").pw_uid
        assert (run / "stoker-master.log").stat().st_mode & 0o777 == 0o640
    finally:
        made.stop("master", "KILL")
        process, ready = made._starting["master"]
        process.wait()
        ready.close()
        made._sockets.cleanup()


@as_root
def test_root_stops_no_process_of_another_user_for_a_pid_file_of_the_daemons_user(shared: Path) -> None:
    state = of_nobody(shared / "state")
    (state / "run").mkdir()
    victim = os.spawnv(os.P_NOWAIT, "/bin/sleep", ["sleep", "100"])
    try:
        wait_until(lambda: start_time(victim), what="the victim")
        (state / "run" / "stoker-master.pid").write_text(f"{victim} {start_time(victim)} abc\n")
        made = background(shared / "run", shared / "run", state)
        assert made.look("master") == (0, "")
        made.stop("master", "KILL")
        assert start_time(victim)
        made._sockets.cleanup()
    finally:
        os.kill(victim, 9)
        os.waitpid(victim, 0)


def test_collected_logs_hold_nothing_that_a_link_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = tmp_path / "log"
    logs.mkdir()
    (tmp_path / "shadow").write_text("root:$6$hash")
    (logs / "stoker-master.log").symlink_to(tmp_path / "shadow")
    os.link(tmp_path / "shadow", logs / "stoker-worker-1.log")
    os.mkfifo(logs / "stoker-worker-2.log")
    (logs / "stoker-worker-3.log").write_text("a line\n")
    module: Any = SimpleNamespace(
        params={"log_dir": str(logs), "conf_dir": str(tmp_path), "since": "now", "max_bytes": 1000},
        run_command=lambda *_: (0, "", ""),
    )
    monkeypatch.setattr(stoker_logs, "UNITS", str(tmp_path))
    found = stoker_logs._collect(module)
    assert b"hash" not in b"".join(found.values())
    assert b"left out" in found["log/stoker-master.log"] and b"left out" in found["log/stoker-worker-1.log"]
    assert found["log/stoker-worker-3.log"] == b"a line\n"
