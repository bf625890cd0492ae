"""What a command costs before its work begins: CPU time of whole processes, user and system together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench.common import TRUE, Settings, running
from tests.bench.table import Measure

STOKER = str(Path(sys.executable).with_name("stoker"))
TIMES = 20


def commands(settings: Settings) -> Iterator[Measure]:
    """The least of 20 runs each: what other programs do on the machine only adds to CPU time."""
    with running(workers=1) as cluster:
        environ = {**cluster.environ, "MASTER": cluster.url}
        cases = [
            ("CPU of `python -c pass`", [sys.executable, "-c", "pass"], None),
            ("CPU of importing pyzmq and msgspec", [sys.executable, "-c", "import zmq, msgspec"], None),
            ("CPU of `stoker --help`", [STOKER, "--help"], None),
            ("CPU of `stoker status`", [STOKER, "status"], None),
            (f"CPU of `stoker submit --wait {TRUE}`", [STOKER, "submit", "--wait", TRUE], 90.0),
        ]
        for name, words, target in cases:
            values = [cpu_ms(words, environ) for _ in range(settings.times(TIMES))]
            yield Measure(name, "ms", [min(values)], target=target)


def cpu_ms(words: list[str], environ: Mapping[str, str]) -> float:
    """User and system time of one run, in milliseconds."""
    process = subprocess.Popen(words, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000
