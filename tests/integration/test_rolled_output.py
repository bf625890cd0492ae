"""Output of executors with ``spark.executor.logs.rolling.*``, as users read it: all of it, or a line about the lost part."""

from __future__ import annotations

import argparse
import sys
import urllib.request
from pathlib import Path

import pytest

from stoker.client.api import Client
from stoker.config.client import client_config
from tests.support.cluster import Cluster
from tests.support.wait import wait_until

LINES = 400_000
PROGRAM = "import sys\nfor n in range({lines}): sys.stdout.write(f'line {{n}}\\n')\nprint('done', file=sys.stderr)"
WHY = "their rolled files were removed (maxRetainedFiles) or damaged"
TEXT = "".join(f"line {n}\n" for n in range(LINES))


def rolling(size: int, *, compress: bool, keep: int = -1) -> dict[str, str]:
    return {
        "spark.executor.logs.rolling.strategy": "size",
        "spark.executor.logs.rolling.maxSize": str(size),
        "spark.executor.logs.rolling.maxRetainedFiles": str(keep),
        "spark.executor.logs.rolling.enableCompression": str(compress).lower(),
    }


def run(cluster: Cluster, lines: int) -> tuple[str, str]:
    code = PROGRAM.format(lines=lines)
    done = cluster.cli("run", "--total-executor-cores", "1", "--executor-cores", "1", "--", sys.executable, "-c", code)
    assert done.returncode == 0
    return done.stdout, done.stderr


def executor_of(cluster: Cluster) -> tuple[str, Path]:
    (folder,) = cluster.work.glob("app-*/0")
    return f"{folder.parent.name}/0", folder


def client_of(cluster: Cluster, notices: list[str]) -> Client:
    config = client_config(argparse.Namespace(master=cluster.url), cluster.environ)
    return Client(config=config, notice=notices.append)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
def test_all_of_a_rolled_output_arrives(tmp_path: Path, compress: bool) -> None:
    with Cluster(tmp_path, properties=rolling(200_000, compress=compress)) as cluster:
        stdout, stderr = run(cluster, LINES)
        assert stdout == TEXT
        assert stderr == "done\n"
        executor, folder = executor_of(cluster)
        suffix = ".gz" if compress else ""
        wait_until(lambda: all(path.name.endswith(suffix) for path in folder.glob("stdout--*")), what="all compressed")
        assert len(list(folder.glob(f"stdout--*{suffix}"))) > 10

        for words in (("logs",), ("logs", "-f")):
            done = cluster.cli(*words, executor)
            assert (done.returncode, done.stdout, done.stderr) == (0, TEXT, ""), words
        assert cluster.cli("logs", "-n", "100000", executor).stdout == "".join(
            TEXT.splitlines(keepends=True)[-100_000:]
        )
        assert cluster.cli("logs", "--bytes", "1000000", executor).stdout == TEXT[-1_000_000:]
        notices: list[str] = []
        with client_of(cluster, notices) as client:
            assert client.read_log(executor).decode() == TEXT
            assert client.read_log(executor, offset=1_234_567).decode() == TEXT[1_234_567:]
            assert b"".join(client.follow(executor)).decode() == TEXT
        assert notices == []
        app = executor.partition("/")[0]
        page = f"http://127.0.0.1:{cluster.webui_port}/log/?appId={app}&executorId=0&logType=stdout&offset=399990&byteLength=20"
        with urllib.request.urlopen(page) as answer:
            assert answer.read().decode().endswith(TEXT[399_990:400_010])


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
def test_what_retention_removed_is_named(tmp_path: Path, compress: bool) -> None:
    with Cluster(tmp_path, properties=rolling(100_000, compress=compress, keep=2)) as cluster:
        stdout, stderr = run(cluster, LINES)
        executor, _ = executor_of(cluster)
        # Part of the output arrives, in order and to its end; a line or two report the missing part.
        lines = stdout.splitlines()
        assert lines[-1] == f"line {LINES - 1}"
        assert stderr.startswith("done\n") or stderr.startswith("stoker: bytes ")
        said = [line for line in stderr.splitlines() if line.startswith("stoker: ")]
        if stdout != TEXT:
            assert "of stdout of executor 0 are lost" in said[0]
        assert len(said) <= 2

        done = cluster.cli("logs", executor)
        assert done.returncode == 0
        assert TEXT.endswith(done.stdout)
        first = len(TEXT) - len(done.stdout)
        assert 100_000 < len(done.stdout) < 700_000
        assert done.stderr == f"stoker: bytes 0 to {first} of stdout of {executor} are lost: {WHY}\n"
        tail = cluster.cli("logs", "-n", str(LINES), executor)
        assert (tail.stdout, tail.stderr) == (done.stdout, "")
        followed = cluster.cli("logs", "-f", executor)
        assert (followed.stdout, followed.stderr) == (done.stdout, done.stderr)
        notices: list[str] = []
        with client_of(cluster, notices) as client:
            assert client.read_log(executor).decode() == done.stdout
        assert notices == [done.stderr.removeprefix("stoker: ").rstrip()]


def test_a_worker_that_is_killed_meanwhile_costs_nothing_of_it(tmp_path: Path) -> None:
    code = (
        "import time\nfor n in range(3000):\n  print(f'line {n}', flush=True)\n  time.sleep(0.002)\n"
        "import pathlib\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)"
    )
    with Cluster(tmp_path, properties=rolling(2000, compress=True)) as cluster:
        words = ("run", "--total-executor-cores", "1", "--executor-cores", "1", "--")
        process = cluster.start_cli(*words, sys.executable, "-c", code)
        try:
            assert process.stdout is not None and process.stderr is not None
            lines = [process.stdout.readline() for _ in range(500)]
            cluster.worker[0].kill()
            cluster.worker[0].start()
            lines += [process.stdout.readline() for _ in range(2500)]
            _, folder = executor_of(cluster)
            (folder / "go").touch()
            rest, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        assert "".join(lines) + rest == "".join(f"line {n}\n" for n in range(3000))
        assert process.returncode == 0
        assert "are lost" not in stderr and "incomplete" not in stderr
