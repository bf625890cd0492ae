"""A real cluster of real processes on loopback, in a temporary home, for integration tests."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stoker.core.model.addresses import address_of
from tests.support.wait import wait_until

STOKER = [sys.executable, "-m", "stoker"]
ME = pwd.getpwuid(os.geteuid()).pw_name  # the principal of this user's keys, and of its connections by the kernel


def free_port() -> int:
    """Return a port that the system does not give to programs that ask for any port: a daemon may come back to it later."""
    while True:
        port = 15000 + secrets.randbelow(17000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Daemon:
    """One daemon process; ``start`` may be called again after it exited."""

    words: list[str]
    env: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*STOKER, *self.words], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send the signal, wait until the process exits, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


@dataclass
class Cluster:
    """``with Cluster(tmp_path) as cluster``: a master and ``workers`` workers, registered."""

    home: Path
    workers: int = 1
    cores: int = 2
    memory: str = "2g"
    properties: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    worker_options: tuple[str, ...] = ()
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        self.port, self.webui_port = free_port(), free_port()
        self.url = f"spark://{address_of(self.host, self.port)}"
        self.state = self.home / "state"
        self.work = self.home / "work"
        conf = self.home / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        # The port is fixed, so tests that run at the same time would share it: only tests of REST ask for it.
        quiet = {} if "spark.master.rest.port" in self.properties else {"spark.master.rest.enabled": "false"}
        lines = [f"{name} {value}\n" for name, value in {**quiet, **self.properties}.items()]
        (conf / "spark-defaults.conf").write_text("".join(lines))
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH", "JAVA_HOME") if name in os.environ}
        self.environ = {
            **keep,
            "HOME": str(self.home),
            "SPARK_CONF_DIR": str(conf),
            "STOKER_STATE_DIR": str(self.state),
            "SPARK_WORKER_DIR": str(self.work),
            "STOKER_DEBUG": "1",
            **self.env,
        }
        words = ["master", "-h", self.host, "-p", str(self.port), "--webui-port", str(self.webui_port)]
        self.master = Daemon(words, self.environ, self.home / "master.log")
        self.worker = [self._worker(number) for number in range(1, self.workers + 1)]

    def _worker(self, number: int) -> Daemon:
        size = ["-c", str(self.cores), "-m", self.memory]
        words = ["worker", "-h", self.host, "--webui-port", "0", *size, *self.worker_options, self.url]
        return Daemon(words, self.environ, self.home / f"worker-{number}.log")

    def __enter__(self) -> Cluster:
        try:
            self.master.start()
            for worker in self.worker:
                worker.start()
            wait_until(lambda: self.registered_workers() == self.workers, what="all workers registered")
        except BaseException:
            self.show_logs()
            self.stop(check=False)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.show_logs()
        self.stop(check=kind is None)

    def show_logs(self) -> None:
        for daemon in (self.master, *self.worker):
            print(f"--- {daemon.log.name}\n{daemon.text()[-6000:]}")

    # --- asking ---

    def cli(self, *words: str, timeout: float = 60, stdin: str = "", env: dict[str, str] | None = None) -> Any:
        """Run ``stoker WORDS``; returns the CompletedProcess, with text."""
        environ = {**self.environ, "MASTER": self.url, **(env or {})}
        return subprocess.run(  # noqa: PLW1510 - tests look at the exit code themselves
            [*STOKER, *words], env=environ, input=stdin, capture_output=True, text=True, timeout=timeout, cwd=self.home
        )

    def start_cli(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*STOKER, *words],
            env={**self.environ, "MASTER": self.url},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
        )

    def status(self, *job: str) -> dict[str, Any]:
        done = self.cli("status", "--json", *job)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def registrations(self) -> int:
        """Count in the master's log, which puts no load on the master. A worker may register more than once with one
        master."""
        return len(re.findall(r"registered worker-", self.master.text()))

    def registered_workers(self) -> int:
        """Return how many different workers have registered."""
        return len(set(re.findall(r"registered (worker-\S+)", self.master.text())))

    def submit(self, *words: str) -> str:
        """Submit a driver; return its id."""
        done = self.cli("submit", *words)
        assert done.returncode == 0, done.stderr
        lines: list[str] = done.stdout.split()
        assert len(lines) == 1, f"stdout must be the id alone: {done.stdout!r}"
        return lines[0]

    def wait_for(self, job: str, *states: str, within: float = 30.0) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            found = self.status(job)
            return found if found["state"] in states else None

        return wait_until(reached, within=within, what=f"{job} in {states}")

    def script(self, name: str, text: str, mode: int = 0o755) -> str:
        path = self.home / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    # --- ending ---

    def processes(self) -> dict[int, str]:
        """Return every living process of this cluster, found by its environment."""
        mark = f"STOKER_STATE_DIR={self.state}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def stop(self, *, check: bool = True) -> None:
        """Stop the cluster for good; no process may be left."""
        for daemon in self.worker:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.process.send_signal(signal.SIGCONT)
                daemon.process.send_signal(signal.SIGINT)
        for daemon in (*self.worker, self.master):
            if daemon.process is None:
                continue
            if daemon is self.master and daemon.process.poll() is None:
                daemon.process.terminate()
            try:
                daemon.process.wait(25)
            except subprocess.TimeoutExpired:
                daemon.process.kill()
        deadline = time.monotonic() + (15 if check else 0)
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert not (check and left), f"left behind: {left}"
