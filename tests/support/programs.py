"""Drivers of applications: Python programs that run against a cluster, as a user would start them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.cluster import Cluster


@contextlib.contextmanager
def start_program(cluster: Cluster, text: str, *, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """The running process; it is stopped at the end of the ``with``."""
    path = Path(cluster.script("program.py", text))
    process = subprocess.Popen(
        [sys.executable, str(path)],
        env={**cluster.environ, "MASTER": cluster.url, "STOKER_DEBUG": "", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cluster.home,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def run_program(cluster: Cluster, text: str, *, env: dict[str, str] | None = None, timeout: float = 60) -> str:
    """Return its output; raise AssertionError with all its output if it failed."""
    with start_program(cluster, text, env=env) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"the program does not end: {process.communicate()}") from None
    assert process.returncode == 0, f"{out}\n{err}"
    assert "Traceback" not in err, err
    return str(out)


def dask_executors(cluster: Cluster) -> dict[int, str]:
    """Return the processes of the cluster's Dask workers, with their commands."""
    return {pid: words for pid, words in cluster.processes().items() if "distributed.cli.dask_worker" in words}
