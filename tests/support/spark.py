"""Real Spark clients: the first frames that they sent on a connection (recorded from pyspark 3.5.9, 4.0.5 and 4.3.0), and
a live one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from stoker.gateway.java_stream import JavaObject, parse
from stoker.gateway.spark_rpc import Envelope, Frame, FrameReader, open_envelope
from tests.support.cluster import Cluster
from tests.support.wait import wait_until

T = TypeVar("T")
FOLDER = Path(__file__).parent.parent / "data" / "spark"
VERSIONS = ("3.5", "4.0", "4.3")

NEEDS_SPARK = pytest.mark.skipif(
    os.environ.get("CI") != "true" and (importlib.util.find_spec("pyspark") is None or shutil.which("java") is None),
    reason="needs the package pyspark and a Java: pip install pyspark, apt-get install default-jre-headless",
)


def recorded(version: str) -> list[Frame]:
    """[does the endpoint Master exist?, RegisterApplication]"""
    return list(FrameReader().feed((FOLDER / f"register-{version}.bin").read_bytes()))


def registration(version: str) -> tuple[Envelope, JavaObject]:
    envelope = open_envelope(recorded(version)[1].body)
    message = parse(envelope.payload)
    assert isinstance(message, JavaObject)
    return envelope, message


# A driver that runs the commands from its standard input, and answers each with a line "> ANSWER".
_PROGRAM = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.appName("job").getOrCreate()
print("> " + spark.sparkContext.applicationId, flush=True)
for line in sys.stdin:
    if line.strip() == "numbers":
        print("> " + str(spark.sparkContext.parallelize(range(10), 2).sum()), flush=True)
    elif line.strip() == "files":  # of the executors' Python
        where = lambda _: __import__("pyspark").__file__
        print("> " + spark.sparkContext.parallelize([1], 1).map(where).first(), flush=True)
    elif line.strip() == "gpus":  # of a task, and of its executor's environment
        def told(_):
            import os
            from pyspark import TaskContext
            return TaskContext.get().resources()["gpu"].addresses, os.environ["CUDA_VISIBLE_DEVICES"]
        print("> " + str(spark.sparkContext.parallelize([1], 1).map(told).first()), flush=True)
    elif line.startswith("profile"):  # executors other than the application's: "profile MEMORY [GPUS]"
        from pyspark.resource import ExecutorResourceRequests, ResourceProfileBuilder, TaskResourceRequests
        def told(number):
            import os
            from pathlib import Path
            pid = os.getpid()
            while "CoarseGrainedExecutorBackend" not in (words := Path(f"/proc/{pid}/cmdline").read_text().split("\\0")):
                if not any("CoarseGrainedExecutorBackend" in word for word in words):
                    pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
                    continue
                break
            heap = next(word for word in words if word.startswith("-Xmx"))
            return number, heap, words[words.index("--resourceProfileId") + 1], os.environ["CUDA_VISIBLE_DEVICES"]
        _, memory, *gpus = line.split()
        needs, each = ExecutorResourceRequests().cores(1).memory(memory), TaskResourceRequests().cpus(1)
        if gpus:
            needs, each = needs.resource("gpu", int(gpus[0])), each.resource("gpu", 1)
        wanted = ResourceProfileBuilder().require(needs).require(each).build
        seen = spark.sparkContext.parallelize(range(10), 2).withResources(wanted).map(told).collect()
        print("> " + str((sum(row[0] for row in seen), sorted({row[1:] for row in seen}))), flush=True)
    else:
        break
spark.stop()
"""


class Standing(Protocol):
    """A cluster to run on, Stoker's or Spark's."""

    home: Path
    url: str


def spark_environment(cluster: Standing) -> dict[str, str]:
    """Return the environment of a user of pyspark, without any variable of Stoker."""
    package = importlib.util.find_spec("pyspark")
    assert package is not None and package.origin is not None, "the test extra installs pyspark"
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "JAVA_HOME") if name in os.environ}
    return {
        **keep,
        "HOME": str(cluster.home),
        "SPARK_HOME": str(Path(package.origin).parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        # Drivers live for seconds here: the second compiler would take twice as long as the program.
        "SPARK_SUBMIT_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }


def executor_pids(cluster: Cluster, app_id: str) -> dict[str, int]:
    """Return the processes by executor id."""
    words = {pid: command.split() for pid, command in cluster.processes().items()}
    return {
        command[command.index("--executor-id") + 1]: pid
        for pid, command in words.items()
        if app_id in command and "--executor-id" in command and command[0].endswith("java")
    }


class SparkJob:
    """A pyspark driver on this machine, stopped at the end of the ``with`` in any case. ``wait``: until it has an
    application id."""

    def __init__(
        self, cluster: Standing, conf: dict[str, str], *, wait: bool = True, python: Path = Path(sys.executable)
    ) -> None:
        conf = {
            "spark.master": cluster.url,
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.executor.memory": "512m",
            "spark.ui.showConsoleProgress": "false",
            **conf,
        }
        self._folder = Path(tempfile.mkdtemp(dir=cluster.home))
        self._out = self._folder / "out"
        (self._folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in conf.items()))
        self._wait = wait
        self._answers = 0
        self.app_id = ""
        environment = {**spark_environment(cluster), "SPARK_CONF_DIR": str(self._folder), "PYSPARK_PYTHON": str(python)}
        if python != Path(sys.executable):
            del environment["SPARK_HOME"]  # its own package is its home
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(
                [python, "-c", _PROGRAM],
                env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True, text=True,
            )  # fmt: skip

    def __enter__(self) -> SparkJob:
        try:
            if self._wait:
                self.app_id = self.answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_driver()
        self._process.wait(30)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def kill_driver(self) -> None:
        """Kill all of its processes at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def answer(self, *, within: float = 300) -> str:
        def look() -> str:
            lines = [line[2:] for line in self.text().splitlines() if line.startswith("> ")]
            return lines[self._answers] if len(lines) > self._answers else ""

        found = self._wait_until(look, within, "an answer of the driver")
        self._answers += 1
        return found

    def wait_for(self, words: str, *, within: float = 300) -> None:
        """Wait until the driver's log contains the words."""
        self._wait_until(lambda: words in self.text(), within, f"{words!r} in the driver's log")

    def _wait_until(self, look: Callable[[], T], within: float, what: str) -> T:
        """Like ``wait_until``, but fail as soon as the driver exits; the error shows the end of its log."""

        def look_while_it_lives() -> T:
            has_ended = self._process.poll() is not None  # asked first: output just before its exit counts
            found = look()
            assert found or not has_ended, f"the driver has ended: no {what}"
            return found

        try:
            return wait_until(look_while_it_lives, within=within, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe driver's log:\n{self.text()[-6000:]}") from None

    def wait(self) -> int:
        return self._process.wait(120)

    def text(self) -> str:
        return self._out.read_text(errors="replace")
