"""A newcomer's machine: Debian with git, make and python3, an ordinary user, no network but a folder of packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.host_image import bare_image
from tests.support.podman import podman, run
from tests.support.tls import make_certificate

REPO = Path(__file__).parents[2]
LIGHT = ("golden", "contract", "unit/config", "unit/test_cli_surroundings.py", "unit/test_cli_help.py")
REAL = ("integration/commands", "integration/test_jobs.py")  # real daemons; some tests need a JDK
# In the container: an index with a certificate that nobody has signed, and what make does first.
OWN_INDEX = """
import functools, http.server, os, ssl, subprocess, sys, threading
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/wheels")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/wheels/cert.pem", "/wheels/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.path.insert(0, "scripts")
import bootstrap
from pip_index import Settings
os.environ["PIP_INDEX_URL"] = f"https://127.0.0.1:{server.server_port}/simple"
print(subprocess.run([bootstrap.find_uv(Settings(os.environ)), "--version"], capture_output=True, text=True).stdout)
"""
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
    run("git", "clone", "--quiet", "--bare", str(REPO), str(source))
    locked = folder / f"{lock}.lock"  # of the last commit, as the clone's
    locked.write_text(run("git", "show", f"HEAD:requirements/{lock}.lock", cwd=REPO).stdout)
    words = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--python-version", python]
    words += ["--requirement", str(locked), "--dest", str(wheels)]
    run(sys.executable, "-m", "pip", "download", "--quiet", *words, cwd=REPO, timeout=300)
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


def test_debian_13_starts_a_cluster_without_an_index(tmp_path: Path) -> None:
    with bare_machine(tmp_path, "trixie", "controller", "3.13") as machine:
        started = machine.type("make start", timeout=400)
        assert started.returncode == 0, started.stdout + started.stderr
        assert " from /wheels ..." in started.stdout and "pypi.org" not in started.stdout
        assert "The cluster is up" in started.stdout, started.stdout
        asked = machine.type(".venv/bin/stoker status && make stop", timeout=100)
        assert asked.returncode == 0 and "ALIVE" in asked.stdout, asked.stdout + asked.stderr


def test_a_debian_without_ca_certificates_fetches_uv_from_an_index_by_its_hash(tmp_path: Path) -> None:
    with bare_machine(tmp_path, "trixie", "controller", "3.13") as machine:
        wheels = tmp_path / "wheels"
        make_certificate(wheels)
        (wheels / "key.pem").chmod(0o644)
        (wheels / "simple" / "uv").mkdir(parents=True)
        (wheel,) = wheels.glob("uv-*.whl")
        shutil.copy(wheel, wheels / "simple" / "uv")
        (wheels / "index.py").write_text(OWN_INDEX)
        done = machine.type("unset PIP_NO_INDEX PIP_FIND_LINKS; python3 /wheels/index.py", timeout=60)
        assert done.returncode == 0 and "\nuv " in done.stdout, done.stdout + done.stderr
