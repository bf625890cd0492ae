"""The cost of a command before its work begins: CPU time of whole processes, user and system time together.

Modules are compiled first: with PYTHONDONTWRITEBYTECODE a changed module would be compiled again in every run, which takes
longer than everything else that a command does.
"""

from __future__ import annotations

import compileall
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import stoker
from tests.bench.common import TRUE, Settings, running
from tests.bench.table import Measure

STOKER = str(Path(sys.executable).with_name("stoker"))
TIMES = 20
BASE = "importing pyzmq and msgspec"
MOST = 1.4  # a command may take at most this multiple of BASE
PROGRAM = Path(__file__).with_name("command_phases.py")


def commands(settings: Settings) -> Iterator[Measure]:
    """Measure the minimum of 20 runs each, in turns: other programs on the machine can only add to CPU time."""
    compileall.compile_dir(str(Path(stoker.__file__).parent), quiet=1)
    with running(workers=1) as cluster:
        environ = {**cluster.environ, "MASTER": cluster.url}
        cases = {
            "`python -c pass`": [sys.executable, "-c", "pass"],
            BASE: [sys.executable, "-c", "import zmq, msgspec"],
            "`stoker --help`": [STOKER, "--help"],
            "`stoker status`": [STOKER, "status"],
            f"`stoker submit --wait {TRUE}`": [STOKER, "submit", "--wait", TRUE],
        }
        least = dict.fromkeys(cases, math.inf)
        for _ in range(settings.times(TIMES)):
            for name, words in cases.items():
                least[name] = min(least[name], cpu_ms(words, environ))
        phases = _phases(["submit", "--wait", TRUE], environ, settings.times(TIMES))
    for name, value in least.items():
        yield Measure(f"CPU of {name}", "ms", [value])
    for name, value in phases.items():
        yield Measure(f"of `submit --wait`: {name}", "ms", [value])
    for name in list(cases)[2:]:
        yield Measure(f"{name}, as a multiple of {BASE}", "", [least[name] / least[BASE]], target=MOST)


def cpu_ms(words: list[str], environ: Mapping[str, str]) -> float:
    """Return user plus system time of one run, in milliseconds."""
    process = subprocess.Popen(words, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def _phases(words: list[str], environ: Mapping[str, str], times: int) -> dict[str, float]:
    """Return the CPU time of each phase of a command in milliseconds: the least of several runs."""
    least: dict[str, float] = {}
    for _ in range(times):
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *words], env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        with process.stderr as stream:
            lines = stream.read().decode().splitlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}: {lines}")
        found = {name: float(value) for name, tab, value in (line.partition("\t") for line in lines) if tab}
        found["exit of the interpreter"] = (usage.ru_utime + usage.ru_stime) * 1000 - sum(found.values())
        for name, value in found.items():
            least[name] = min(value, least.get(name, math.inf))
    return least
