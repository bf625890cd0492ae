"""What README and docs tell to type works, in the order in which a reader types it, on a cluster started as README says.

Every command of every page is run here, or is in ``LEFT_OUT`` with the reason. A reader replaces what a page cannot know
(host names, ids, ports that others have): so does ``Reader.adapted``.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import free_port
from tests.support.pages import Block, blocks
from tests.support.wait import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PAGES = [
    "README.md",
    *sorted(str(path.relative_to(ROOT)) for folder in ("docs", "examples") for path in (ROOT / folder).rglob("*.md")),
]
SECOND = ("docs/api.md", "docs/applications.md", "docs/operations.md", "docs/python.md", "docs/security.md")

# Command (a pattern) -> why it is not run here.
LEFT_OUT = {
    r"make (start|test|stop)": "test_bootstrap.py installs; tests/ansible/test_playbooks.py starts and stops what make does",
    r"make (bench|simulate|lock|vendor|molecule|spark-matrix|clean)": "it takes minutes, or undoes the checkout",
    r"(\.venv/bin/)?python (-m tests\.|tests/bench)": "the tests' own programs, which other tests run",
    r"(pytest |cd roles/|molecule )": "the tests themselves",
    r"ansible -i /tmp/lab": "needs hosts in containers: tests/molecule",
    r"ansible-playbook ": "tests/ansible and tests/molecule run the playbooks",
    r"ansible-galaxy ": "tests/ansible/test_collection.py",
    r"inventory/from-slaves ": "tests/ansible/test_inventories.py",
    r"stoker (--via|tunnel) ": "needs an ssh server: tests/integration/test_via.py",
    r"(pyspark|spark-shell|spark-submit) ": "needs Spark: tests/integration/test_spark_gateway.py, test_rest_spark_submit.py",
    r"stoker (submit|launch) .*(\.jar)": "needs a Java: tests/integration/test_spark_gateway.py, commands/test_submit.py",
    r"stoker (submit|run) .*--(gpus|resource) ": "needs GPUs: tests/integration/test_gpus.py",
    r"stoker run --min-executors ": "needs several workers: tests/integration/test_gangs.py",
    r"stoker (submit --array|(status|logs|kill|hold) ID)": "needs a cluster to itself: tests/integration/test_arrays.py",
    r"stoker doctor": "what it finds depends on the machine: tests/integration/test_doctor.py",
    r"stoker \w+ [^#'\"]*\[": "it shows the form of the command",
    r"stoker forget": "needs a worker that is dead: tests/integration/test_drain.py",
    r"stoker shell": "needs a terminal: tests/integration/test_shell.py",
    r"(\.venv/bin/)?pip install (-e )?'\.\[": "it downloads: test_package.py, test_extras_can_be_installed",
    r"export PATH=": "the programs are on the PATH of these tests",
}
# Page whose programs are not run -> why.
PROGRAMS_LEFT_OUT = {
    "docs/applications.md": "it starts the reader's own worker program: tests/integration/test_applications.py",
}


def reason(command: str) -> str:
    return next((why for pattern, why in LEFT_OUT.items() if re.match(pattern, command)), "")


class Reader:
    """A reader with a page and three terminals, in a folder with the files that the page names."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ports = {number: str(free_port()) for number in ("7077", "8080", "8081", "6066")}
        conf = home / "conf"
        conf.mkdir()
        (conf / "spark-defaults.conf").write_text("spark.worker.cleanup.enabled false\n")
        keep = {name: os.environ[name] for name in ("LANG",) if name in os.environ}
        self.env = {
            **keep,
            "HOME": str(home),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "DB_PASSWORD": "hush-7",
            "SPARK_CONF_DIR": str(conf),
            "STOKER_STATE_DIR": str(home / "state"),
            "SPARK_MASTER_PORT": self.ports["7077"],
            "SPARK_MASTER_WEBUI_PORT": self.ports["8080"],
            "SPARK_WORKER_WEBUI_PORT": self.ports["8081"],
            "SPARK_WORKER_CORES": "4",
            "SPARK_WORKER_MEMORY": "8g",
            "SPARK_MASTER_OPTS": f"-Dspark.master.rest.port={self.ports['6066']}",
        }
        self.driver = ""
        self.daemons: list[subprocess.Popen[bytes]] = []
        (home / "input.csv").write_text("a,b\n1,2\n")
        (home / "job.py").write_text(
            "import sys\nprint(open(sys.argv[1]).read() if sys.argv[1].endswith('csv') else sys.argv)\n"
        )
        (home / "etl.py").write_text("import os\nprint(len(os.environ['DB_PASSWORD']))\n")
        (home / "job.env").write_text("DB_PASSWORD=hush-7\n")
        (home / "service.py").write_text("import time\nprint('at work', flush=True)\ntime.sleep(600)\n")
        (home / "spark-env").write_text("SPARK_WORKER_CORES=2\n")
        (home / "simulate").write_text('#!/bin/sh\necho "$@"\n')
        (home / "simulate").chmod(0o755)
        shutil.copytree(ROOT / "examples", home / "examples")

    def adapted(self, text: str) -> str:
        """Return the text with this reader's own names in place of the page's."""
        for number, port in self.ports.items():
            text = re.sub(rf"\b(127\.0\.0\.1|host|h):{number}\b", f"127.0.0.1:{port}", text)
        text = re.sub(r"driver-20260101120000-0000", self.driver or "driver-20260101120000-0000", text)
        text = re.sub(r"\bhost1\b", "127.0.0.1", text).replace("/srv/", f"{self.home}/")
        text = text.replace("-N http", "-N --max-time 1 --write-out '' http") if "/events" in text else text
        return text.replace(" -f ", " ") if text.startswith("stoker logs -f") else text  # it ends with the driver

    def type(self, command: str) -> str:
        """Run it as a shell would; what it prints. ``export`` is for all that follows."""
        command = self.adapted(command)
        if command.startswith(("stoker master", "stoker worker")):
            return self._daemon(command)
        ends = self.home / "environment"
        fails = 'curl() { command curl --fail-with-body "$@"; }'  # a page's request gets no error
        script = f"set -e\n{fails}\n{command}\nenv -0 >{ends}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.home, env=self.env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        is_stream = "/events" in command  # which curl reads until it has had enough
        assert done.returncode == (28 if is_stream else 0), f"{command}\n{done.stdout}{done.stderr}"
        if command.startswith("export"):
            self.env = dict(line.split("=", 1) for line in ends.read_text().split("\0") if "=" in line)
        if "--supervise" in command:
            self.driver = done.stdout.strip()
        if "token create" in command:
            self.env["TOKEN"] = done.stdout.strip()
        return done.stdout

    def _daemon(self, command: str) -> str:
        """In a terminal of its own; returns when its dashboard answers."""
        terminal = self.home / f"terminal-{len(self.daemons)}"
        with terminal.open("wb") as log:
            started = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.home, env=self.env, stdout=log, stderr=log
            )
        self.daemons.append(started)
        port = self.ports["8080" if "stoker master" in command else "8081"]

        def answers() -> bool:
            assert started.poll() is None, terminal.read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/", timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        wait_until(answers, within=30, what=f"{command} to answer")
        return ""

    def run(self, program: str) -> str:
        (self.home / "block.py").write_text(self.adapted(program))
        return self.type("python block.py")

    def close(self) -> None:
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGINT)
            daemon.wait(20)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reading = Reader(tmp_path_factory.mktemp("reader"))
    try:
        yield reading
    finally:
        reading.close()


def of(page: str) -> list[Block]:
    return list(blocks((ROOT / page).read_text(encoding="utf-8")))


def test_the_blocks_of_the_readme_in_order(reader: Reader) -> None:
    """All blocks of the page, those of Python too."""
    typed = follow(reader, "README.md")
    assert typed["stoker submit --wait --files"].startswith("a,b\n1,2")
    assert "RUNNING" in typed["stoker status driver-"] and "at work" in typed["stoker logs -f"]
    assert sorted(typed["stoker run "].split()) == ["--part"] * 8 + [str(part) for part in range(8)]
    assert "import stoker" in typed and typed["import stoker"].strip().endswith("1 2")


@pytest.mark.parametrize("page", SECOND)
def test_the_blocks_of_another_page_on_that_cluster(reader: Reader, page: str) -> None:
    if "MASTER" not in reader.env:
        test_the_blocks_of_the_readme_in_order(reader)
    if "TOKEN" in reader.env and page == "docs/security.md":
        reader.type("stoker token revoke ada")
    assert follow(reader, page)


def test_the_blocks_of_the_packages_page(tmp_path: Path) -> None:
    another = Reader(tmp_path)
    try:
        printed = follow(another, "docs/package.md")
        assert "ALIVE" in printed["stoker status"] and printed["import stoker"] == "5050\n"
    finally:
        another.close()


def test_every_command_is_run_or_left_out_for_a_reason() -> None:
    for page in PAGES:
        if page not in ("README.md", "docs/package.md", *SECOND):
            commands = [command for block in of(page) for command in block.commands]
            assert [command for command in commands if not reason(command)] == [], page


def test_no_reason_is_left_over() -> None:
    commands = [command for page in PAGES for block in of(page) for command in block.commands]
    assert [why for why in LEFT_OUT if not any(re.match(why, command) for command in commands)] == []


def follow(reader: Reader, page: str) -> dict[str, str]:
    """What was printed, by the beginning of the typed command."""
    printed: dict[str, str] = {}
    for block in of(page):
        for command in block.commands:
            if not reason(command):
                printed[command] = reader.type(command)
        if block.python and page not in PROGRAMS_LEFT_OUT:
            if "dask" in block.python or "pool" in block.python:
                pytest.importorskip("distributed", reason="needs Dask: make test without ENGINES=no")
            printed[block.python] = reader.run(block.python)
    return _ByBeginning(printed)


class _ByBeginning(dict[str, str]):
    def __missing__(self, start: str) -> str:
        return next(text for command, text in self.items() if command.startswith(start))

    def __contains__(self, start: object) -> bool:
        return any(command.startswith(str(start)) for command in self)
