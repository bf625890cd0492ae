"""The playbooks: on this machine, and on hosts in containers over ssh (with root and podman)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.bench.common import Settings, folder
from tests.bench.table import Measure
from tests.support.cluster import free_port
from tests.support.hosts import Hosts, running_hosts
from tests.support.podman import cannot_run

REPO = Path(__file__).parents[2]
ROUNDS = 3


@dataclass
class Site:
    """An inventory in a folder, and a separate home for the controller."""

    home: Path
    connection: Path | None = None

    def write(self, masters: list[str], workers: list[str], **spark_env: object) -> None:
        groups = {"masters": masters, "workers": workers}
        children = {group: {"hosts": dict.fromkeys(names)} for group, names in groups.items()}
        everything: dict[str, Any] = {"vars": {"spark_env": spark_env}, "children": children}
        if self.connection is None:
            everything["hosts"] = {
                "localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
            }
        (self.home / "hosts.yml").write_text(yaml.safe_dump({"all": everything}))

    def play(self, name: str) -> tuple[float, int]:
        """Run a playbook; return its seconds and the number of changes. Raises RuntimeError with its output if it fails."""
        connection = [] if self.connection is None else ["-i", str(self.connection)]
        words = ["ansible-playbook", *connection, "-i", str(self.home / "hosts.yml"), f"playbooks/{name}.yml"]
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "STOKER_"))},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        }
        start = time.monotonic()
        done = subprocess.run(words, cwd=REPO, env=environ, capture_output=True, text=True, timeout=300, check=False)
        took = time.monotonic() - start
        if done.returncode != 0:
            raise RuntimeError(f"{name}.yml failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        return took, sum(map(int, re.findall(r"changed=(\d+)", done.stdout)))


def playbooks(settings: Settings) -> Iterator[Measure]:
    yield from _one_machine()
    if not cannot_run():
        yield from _real_hosts()


def _one_machine() -> Iterator[Measure]:
    start = Measure("start-all, one machine", "s", target=3.5)
    again = Measure("start-all again, changed=0", "s", target=3)
    for _ in range(ROUNDS):
        with folder() as home:
            site = Site(home)
            site.write(
                ["localhost"],
                ["localhost"],
                SPARK_MASTER_PORT=free_port(),
                SPARK_MASTER_WEBUI_PORT=0,
                SPARK_WORKER_WEBUI_PORT=free_port(),
            )
            try:
                start.values.append(site.play("start-all")[0])
                again.values.append(_unchanged(site))
            finally:
                site.play("stop-all")
    yield from (start, again)


def _real_hosts() -> Iterator[Measure]:
    """Measure hosts in containers. The release is built before the first round: once for all hosts."""
    first = Measure("first deployment, master + 2 workers", "s", target=20)
    start = Measure("start-all, deployed", "s", target=4)
    again = Measure("start-all again, changed=0, 3 hosts", "s", target=3)
    more = Measure("start-all with one worker more", "s", target=5)
    for number in range(ROUNDS + 1):
        names = ["master1", "worker1", "worker2", "worker3"]
        with folder() as home, running_hosts(home / "hosts", dict.fromkeys(names, "bookworm")) as hosts:
            values = _round(_site(home, hosts))
        if number:
            for measure, value in zip((first, start, again, more), values, strict=True):
                measure.values.append(value)
    yield from (first, start, again, more)


def _site(home: Path, hosts: Hosts) -> Site:
    return Site(home, hosts.folder / "connection.yml")


def _round(site: Site) -> tuple[float, float, float, float]:
    site.write(["master1"], ["worker1", "worker2"])
    first = site.play("start-all")[0]
    site.play("stop-all")
    start = site.play("start-all")[0]
    again = _unchanged(site)
    site.write(["master1"], ["worker1", "worker2", "worker3"])
    return first, start, again, site.play("start-all")[0]


def _unchanged(site: Site) -> float:
    took, changes = site.play("start-all")
    if changes:
        raise RuntimeError(f"start-all changed {changes} things although nothing needed to change")
    return took
