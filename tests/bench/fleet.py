"""Many hosts: the cost to the controller, for each host, of a start-all that changes nothing.

All host names lead to one real sshd, and each command to a host is a real ssh command. ``fleet_host`` answers the requests of
the modules: nothing needs to change. So the controller does everything that it does for real hosts, and the machine does not
have to run 1,000 of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.bench.common import Settings, folder
from tests.bench.proc import rss_mib
from tests.bench.table import Measure
from tests.support.sshd import Sshd

REPO = Path(__file__).parents[2]
HOST = Path(__file__).with_name("fleet_host")
SIZES = (20, 200, 1000)
MASTERS = 3
SSH_OPTIONS = ("HostName=127.0.0.1", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
LOOK = 0.2  # seconds between two readings of the controller's memory


@dataclass
class Run:
    """The cost of a run: CPU seconds of the controller and its child processes, wall-clock seconds, MiB of its largest
    process, and the number of ssh commands."""

    cpu: float
    wall: float
    peak: float
    commands: int


def fleet(settings: Settings) -> Iterator[Measure]:
    runs = {size: _measured(settings.size(size)) for size in SIZES}
    hosts = {size: settings.size(size) + MASTERS for size in SIZES}
    for size, run in runs.items():
        yield Measure(f"start-all, changed=0, {hosts[size]} hosts: CPU a host", "s", [run.cpu / hosts[size]])
    large, small = SIZES[-1], SIZES[0]
    each = (runs[large].cpu - runs[small].cpu) / (hosts[large] - hosts[small])
    yield Measure("CPU of one host more", "s", [each], target=0.25)
    yield Measure(f"the run with {hosts[large]} hosts", "s", [runs[large].wall], target=120)
    yield Measure("largest process of the controller", "MiB", [runs[large].peak], target=200)
    yield Measure("ssh commands a host", "", [runs[large].commands / hosts[large]], target=2.01)


def _measured(workers: int) -> Run:
    with folder() as home:
        state = home / "state"
        state.mkdir()
        options = (f"ForceCommand {sys.executable} -SE {HOST} {state}", "MaxStartups 500:30:1000")
        sshd = Sshd(home, {"LANG": "C.UTF-8"}, options)
        names = _write_inventory(home, sshd.port, workers)
        (state / "status.json").write_text(json.dumps(_status(names)))
        with sshd:
            _play(home)  # makes the controller a client, and makes the keys of each host
            (state / "commands").write_text("")
            run = _play(home)
            run.commands = (state / "commands").stat().st_size
            return run


def _write_inventory(home: Path, port: int, workers: int) -> dict[str, list[str]]:
    names = {
        "masters": [f"master{number}" for number in range(MASTERS)],
        "workers": [f"worker{number}" for number in range(workers)],
    }
    everyone = [name for some in names.values() for name in some]
    hosts = {name: {"ansible_host": f"127.1.{place // 250}.{place % 250 + 1}"} for place, name in enumerate(everyone)}
    variables = {
        "ansible_port": port,
        "ansible_ssh_private_key_file": str(home / ".ssh" / "id"),
        "ansible_ssh_common_args": " ".join(f"-o {option}" for option in SSH_OPTIONS),
        "spark_env": {"SPARK_WORKER_CORES": 8, "SPARK_WORKER_MEMORY": "16g"},
        "spark_defaults": {"spark.deploy.retainedDrivers": 500},
    }
    children = {group: {"hosts": dict.fromkeys(members)} for group, members in names.items()}
    (home / "hosts.yml").write_text(yaml.safe_dump({"all": {"vars": variables, "hosts": hosts, "children": children}}))
    return names


def _status(names: dict[str, list[str]]) -> dict[str, object]:
    hosts = [f"127.1.{place // 250}.{place % 250 + 1}" for place in range(MASTERS, MASTERS + len(names["workers"]))]
    workers = [{"id": f"worker-{host}", "host": host, "state": "ALIVE"} for host in hosts]
    return {"url": "spark://127.1.0.1:7077", "state": "ALIVE", "workers": workers}


def _play(home: Path) -> Run:
    words = ["ansible-playbook", "-i", str(home / "hosts.yml"), "playbooks/start-all.yml"]
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "STOKER_"))},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
    }
    start, before = time.monotonic(), os.times()
    with (home / "output").open("w+") as output:
        process = subprocess.Popen(words, cwd=REPO, env=environ, stdout=output, stderr=output)
        peak = _peak(process)
        took, after = time.monotonic() - start, os.times()
        output.seek(0)
        said = output.read()
    if process.returncode != 0:
        raise RuntimeError(f"start-all failed:\n{said[-3000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(cpu, took, peak, 0)


def _peak(process: subprocess.Popen[bytes]) -> float:
    """Wait for the process to end; return the largest memory of it or of one of its children, in MiB."""
    largest = 0.0
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        for pid in [process.pid, *map(int, children.read_text().split())]:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                largest = max(largest, rss_mib(pid))
        time.sleep(LOOK)
    return largest
