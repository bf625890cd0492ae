"""A command in odd surroundings: streams that are closed or full, no home, no current directory, names that are not text.
It prints one line that says what to do, and has no effect."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STOKER = f"{sys.executable} -m stoker"
MASTER = "--master spark://127.0.0.1:1 --timeout 500ms"


def shell(text: str, tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    conf = tmp_path / "conf"
    conf.mkdir(exist_ok=True)
    (conf / "spark-defaults.conf").write_text("spark.authenticate false")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "STOKER": STOKER, "SPARK_CONF_DIR": str(conf), **env}
    if "PYTHONPATH" in os.environ:
        environ["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return subprocess.run(
        ["/bin/sh", "-c", text], env=environ, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )


def line_of(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("stoker: "), done
    assert "internal error" not in done.stderr and "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("command", ["submit /bin/true", "status", "kill driver-20260131120000-0000", "logs app-1"])
def test_a_command_whose_output_is_closed_does_not_begin(tmp_path: Path, command: str) -> None:
    assert "standard output is closed" in line_of(shell(f"$STOKER {command} >&-", tmp_path), 1)


def test_a_command_whose_output_is_full_does_not_begin(tmp_path: Path) -> None:
    done = shell(f"$STOKER submit {MASTER} /bin/true >/dev/full", tmp_path)
    assert line_of(done, 1) == "stoker: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_full_output_is_named(tmp_path: Path, buffered: str) -> None:
    done = shell("$STOKER --version >/dev/full", tmp_path, PYTHONUNBUFFERED=buffered)
    assert line_of(done, 1) == "stoker: cannot write the output: No space left on device\n"


def test_closed_input_and_error_streams_are_survived(tmp_path: Path) -> None:
    done = shell(f"$STOKER status {MASTER} <&- 2>&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    done = shell("$STOKER --version <&-", tmp_path)
    assert done.returncode == 0 and done.stderr == ""


def test_help_without_an_output_is_no_error(tmp_path: Path) -> None:
    assert shell("$STOKER --help >&- 2>&-", tmp_path).returncode == 0


def test_a_directory_that_was_removed(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = shell(f"cd {gone} && rmdir {gone} && $STOKER submit {MASTER} x.py", tmp_path)
    assert "the current directory does not exist any more" in line_of(done, 1)


def test_a_file_name_that_is_not_text(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.py"
    try:
        Path(os.fsdecode(name)).write_text("")
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    (tmp_path / "job.py").write_text("")
    for words in ("./caf*.py", "--files ./caf*.py job.py"):
        done = shell(f"$STOKER submit {MASTER} {words}", tmp_path)
        assert r"b'caf\xe9.py' is not UTF-8 text: rename the file" in line_of(done, 2)


def test_an_argument_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("")
    done = shell(rf"$STOKER submit {MASTER} job.py $(printf '\351')", tmp_path)
    assert "is not UTF-8 text" in line_of(done, 2)


def test_a_terminal_without_unicode(tmp_path: Path) -> None:
    done = shell("$STOKER help files", tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize("home", ["-u HOME", "HOME=/proc/none"])
@pytest.mark.parametrize("command", [f"status {MASTER}", "master -h 127.0.0.1 --webui-port 0", "token create --name x"])
def test_a_user_without_a_home_or_a_name(tmp_path: Path, home: str, command: str) -> None:
    inside = "unshare --user --map-user=54321"
    if shutil.which("unshare") is None or subprocess.run([*inside.split(), "true"], check=False).returncode:
        pytest.skip("no user namespaces here (unshare --user)")
    words = f"{inside} env -u LOGNAME -u USER -u SPARK_CONF_DIR {home} $STOKER {command}"
    line = line_of(shell(words, tmp_path), 2)
    assert "set HOME" in line if home == "-u HOME" else "/proc/none" in line


@pytest.mark.parametrize("setting", ["SPARK_DAEMON_MEMORY=1m", "SPARK_MASTER_OPTS=-Xmx8m"])
def test_a_limit_that_no_daemon_starts_with(tmp_path: Path, setting: str) -> None:
    done = shell(f"{setting} $STOKER master -h 127.0.0.1 --webui-port 0", tmp_path)
    assert "a daemon needs at least 64m" in line_of(done, 2)


def test_too_few_descriptors(tmp_path: Path) -> None:
    assert "ulimit -n" in line_of(shell(f"ulimit -n 10; $STOKER status {MASTER}", tmp_path), 1)


MASTERS = "master -h 127.0.0.1 --webui-port 0 -p 0"
WORKERS = "worker spark://127.0.0.1:1"


@pytest.mark.parametrize(
    ("limit", "command"),
    [
        ("-n 6", f"status {MASTER}"),
        ("-n 12", f"status {MASTER}"),
        ("-v 30000", f"status {MASTER}"),
        *((limit, command) for limit in ("-n 20", "-v 60000", "-v 200000") for command in (MASTERS, WORKERS)),
    ],
)
def test_too_little_of_anything(tmp_path: Path, limit: str, command: str) -> None:
    done = shell(f"ulimit {limit}; timeout 20 $STOKER {command}", tmp_path)
    assert done.returncode in (1, 2) and f"ulimit {limit[:2]}" in line_of(done, done.returncode)


def test_a_soft_limit_of_descriptors_is_raised(tmp_path: Path) -> None:
    """It is this user's own, and the daemon may raise it."""
    done = shell(f"ulimit -S -n 20; timeout 3 $STOKER {MASTERS}", tmp_path)
    assert "leading under epoch" in done.stderr and done.returncode == 124


def test_output_to_a_file_that_may_not_grow(tmp_path: Path) -> None:
    done = shell(f"(ulimit -f 0; $STOKER submit {MASTER} /bin/true >out) 2>&1 | cat >&2; exit 1", tmp_path)
    assert "ulimit -f" in line_of(done, 1)


def test_tunnel_of_a_user_without_a_name(tmp_path: Path) -> None:
    inside = "unshare --user --map-user=54321"
    if shutil.which("unshare") is None or subprocess.run([*inside.split(), "true"], check=False).returncode:
        pytest.skip("no user namespaces here (unshare --user)")
    pytest.importorskip("fabric", reason="needs Fabric")
    conf = tmp_path / "own"
    conf.mkdir()
    words = f"{inside} env -u LOGNAME -u USER SPARK_CONF_DIR={conf} $STOKER tunnel me@127.0.0.1"
    assert "set LOGNAME" in line_of(shell(words, tmp_path), 2)
