"""A newcomer's machine: Debian with git, make and python3, an ordinary user, no network but a folder of packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.host_image import bare_image
from tests.support.podman import podman, run

REPO = Path(__file__).parents[2]
LIGHT = ("golden", "contract", "unit/config", "unit/test_cli_surroundings.py", "unit/test_cli_help.py")
REAL = ("integration/test_submit.py", "integration/test_jobs.py")  # real daemons; some tests need a JDK
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the image is built the first time


class Machine:
    def __init__(self, name: str) -> None:
        self.name = name

    def type(self, command: str, *, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run it as the ordinary user, in the checkout where there is one."""
        words = ["podman", "exec", "--user", "reader", "--workdir", "/home/reader", "--env", "HOME=/home/reader"]
        script = f"cd stoker 2>/dev/null; {command}"
        return run(*words, self.name, "bash", "-c", script, timeout=timeout, check=False)


@contextmanager
def bare_machine(folder: Path, release: str, lock: str, python: str) -> Iterator[Machine]:
    """One with a clone of this checkout's last commit, and the packages of a lock as files."""
    wheels, source = folder / "wheels", folder / "source.git"
    words = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--python-version", python]
    words += ["--requirement", f"requirements/{lock}.lock", "--dest", str(wheels)]
    run(sys.executable, "-m", "pip", "download", "--quiet", *words, cwd=REPO, timeout=300)
    run("git", "clone", "--quiet", "--bare", str(REPO), str(source))
    run("chmod", "-R", "a+rX", str(folder))
    name = f"stoker-bare-{release}-{os.getpid()}"
    mounts = ["--volume", f"{wheels}:/wheels:ro", "--volume", f"{source}:/source:ro"]
    offline = ["--network", "none", "--env", "PIP_NO_INDEX=1", "--env", "PIP_FIND_LINKS=/wheels"]
    reaper = ["bash", "-c", "sleep infinity & wait"]  # the first process has to reap orphans, as an init does
    podman("run", "--detach", "--rm", "--name", name, *offline, *mounts, bare_image(release), *reaper, timeout=900)
    try:
        podman("exec", name, "useradd", "--create-home", "--shell", "/bin/bash", "reader")
        podman("exec", name, "git", "config", "--system", "safe.directory", "*")
        machine = Machine(name)
        cloned = machine.type("git clone --quiet /source stoker", timeout=60)
        assert cloned.returncode == 0, cloned.stderr
        yield machine
    finally:
        podman("rm", "--force", "--time", "0", name)


def test_the_light_tests_pass_and_name_what_is_missing(tmp_path: Path) -> None:
    with bare_machine(tmp_path, "bookworm", "tests", "3.11") as machine:
        made = machine.type("make .venv/.tests", timeout=300)
        assert made.returncode == 0 and made.stderr == "", made.stdout + made.stderr
        paths = " ".join(f"tests/{name}" for name in (*LIGHT, *REAL))
        done = machine.type(f".venv/bin/python -m pytest -q {paths}", timeout=500)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr
        skips = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
        assert any("needs a JDK: " in line for line in skips), done.stdout[-3000:]


def test_debian_13_installs_what_drives_a_cluster(tmp_path: Path) -> None:
    with bare_machine(tmp_path, "trixie", "controller", "3.13") as machine:
        made = machine.type("make .venv/.controller", timeout=300)
        assert made.returncode == 0 and made.stderr == "", made.stdout + made.stderr
        asked = machine.type(".venv/bin/stoker --version && .venv/bin/ansible-playbook --version", timeout=60)
        assert asked.returncode == 0, asked.stdout + asked.stderr
