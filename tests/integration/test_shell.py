"""``stoker shell`` at a terminal, and with its input from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pexpect
import pytest

from tests.support.cluster import Cluster, free_port
from tests.support.spark import NEEDS_SPARK, spark_environment
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    properties = {"spark.stoker.gateway.enabled": "true", "spark.master.rest.port": str(free_port())}
    with Cluster(tmp_path_factory.mktemp("shell"), memory="4g", properties=properties) as cluster:
        yield cluster


def test_on_a_terminal(standing: Cluster) -> None:
    """MASTER is set in spark-env only, as the guides describe it."""
    host, port = standing.url.removeprefix("spark://").split(":")
    (standing.home / "conf" / "spark-env").write_text(f"SPARK_MASTER_HOST={host}\nSPARK_MASTER_PORT={port}\n")
    words = ["-m", "stoker", "shell", "-c", "1", "--name", "at a desk"]
    environ = {**standing.environ, "TERM": "xterm", "COLUMNS": "200", "IPYTHONDIR": str(standing.home / "ipython")}
    shell = pexpect.spawn(sys.executable, words, env=environ, timeout=40, encoding="utf-8", dimensions=(40, 200))
    shell.expect(r"app     app-[^\n]* executor")
    shell.expect("client  dask.distributed.Client")
    shell.expect(r"In [^\n]*1[^\n]*:")
    shell.send("client.submit(abs, -41).result() + 1\r")
    shell.expect(r"Out[^\n]*42")
    shell.expect(r"In [^\n]*2[^\n]*:")
    shell.send("len(app.executors)\r")
    shell.expect(r"Out[^\n]*1[^\n]*1")
    # IPython accepts Ctrl-D at its prompt only, and does not show when it is ready.
    wait_until(lambda: _leave(shell), what="it ends")
    shell.close()
    assert shell.exitstatus == 0
    app = next(app for app in standing.status()["completed_apps"] if app["name"] == "at a desk")
    assert (app["state"], app["cores_max"]) == ("FINISHED", 1)
    wait_until(lambda: not any("dask_worker" in words for words in standing.processes().values()))


def _leave(shell: pexpect.spawn[str]) -> bool:
    shell.sendcontrol("d")
    return shell.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=1) == 0


def test_from_a_pipe(standing: Cluster) -> None:
    done = standing.cli("shell", "-c", "1", stdin="print(client.submit(abs, -41).result() + 1)\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "42\n", "what the program says, and nothing of ours"


def test_a_program_from_a_pipe_is_read_as_a_file_is(standing: Cluster) -> None:
    """A function needs no empty line after it, and the first error stops the shell, as for ``python < FILE``."""
    program = "def twice(x):\n    return 2 * x\nprint(client.submit(twice, 21).result())\n1 / 0\nprint('never')\n"
    done = standing.cli("shell", "-c", "1", stdin=program)
    assert (done.returncode, done.stdout) == (1, "42\n"), done.stderr
    assert "ZeroDivisionError" in done.stderr and "line 4" in done.stderr
    assert "/client/commands/" not in done.stderr, "the program's own lines only"


@pytest.mark.parametrize(("program", "code"), [("exit(3)", 3), ("raise SystemExit", 0), ("print(", 1)])
def test_the_exit_code_of_a_program_from_a_pipe(standing: Cluster, program: str, code: int) -> None:
    done = standing.cli("shell", "-c", "1", stdin=program + "\n")
    assert done.returncode == code, done.stderr
    assert ("SyntaxError" in done.stderr) == (program == "print(")


@NEEDS_SPARK
def test_with_spark(standing: Cluster) -> None:
    environ = spark_environment(standing)
    done = standing.cli(
        *("shell", "--engine", "spark", "-c", "1", "--conf", "spark.ui.enabled=false"),
        stdin="print('sum', sc.parallelize(range(10), 2).sum())\n",
        env={name: environ[name] for name in ("SPARK_LOCAL_IP", "PYSPARK_PYTHON")},
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert "sum 45" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-c", "0"], "stoker: --total-executor-cores: '0' is not a whole number of at least 1"),
        (["--engine", "flink"], "stoker: argument --engine: invalid choice: 'flink'"),
        (["--executor-memory", "much"], "stoker: spark.executor.memory in --conf: 'much'"),
        (["--master", "http://h:1"], "stoker: "),
    ],
)
def test_wrong_usage(standing: Cluster, words: list[str], line: str) -> None:
    done = standing.cli("shell", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(line) and done.stderr.count("\n") == 1, done.stderr
