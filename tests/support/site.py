"""A cluster on test hosts as its operator sees it: an inventory that can be edited, playbooks, and the master's dashboard."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from tests.support.hosts import Host, Hosts

REPO = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LIMIT = 180.0  # seconds a playbook may take


class Played:
    """What a playbook did."""

    def __init__(self, code: int, output: str) -> None:
        self.code, self.output = code, output

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host; hosts without a change are left out."""
        recap = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", self.output, re.MULTILINE)
        return {host: int(count) for host, count in recap if int(count)}


class Site:
    """Playbooks run from this machine against hosts, with an inventory of their own."""

    def __init__(self, hosts: Hosts, inventory: dict[str, Any], folder: Path) -> None:
        self.hosts, self.inventory, self.folder = hosts, copy.deepcopy(inventory), folder

    def command(self, playbook: str, *words: str, connection: Path | None = None) -> list[str]:
        """The command line that runs a playbook on the inventory as it is now, which this writes."""
        file = self.folder / "hosts.yml"
        file.write_text(yaml.safe_dump(self.inventory))
        places = ["-i", str(file), "-i", str(connection or self.hosts.folder / "connection.yml")]
        return [str(BIN / "ansible-playbook"), *places, f"playbooks/{playbook}.yml", *words]

    def environment(self) -> dict[str, str]:
        keep = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        path = f"{BIN}:{os.environ['PATH']}"
        settings = {"ANSIBLE_CONFIG": str(REPO / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
        return {**keep, "PATH": path, **settings}

    def play(self, playbook: str, *words: str, check: bool = True) -> Played:
        """Run a playbook; AssertionError when it fails (with ``check``)."""
        done = subprocess.run(
            self.command(playbook, *words), cwd=REPO, env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{playbook} {' '.join(words)}\n{done.stdout[-6000:]}"
        return Played(done.returncode, done.stdout)

    def cluster(self, master: str = "master1") -> dict[str, Any]:
        """What the master's dashboard says as JSON; empty when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.hosts[master].address}:8080/json/", timeout=2) as answer:
                return dict(json.load(answer))
        except OSError:
            return {}

    def workers(self) -> set[str]:
        """Hosts of the workers that are ALIVE."""
        return {worker["host"] for worker in self.cluster().get("workers", []) if worker["state"] == "ALIVE"}

    def running(self, name: str) -> dict[str, int]:
        """The process of this name (/proc/PID/comm), by host that runs one."""
        found = {host.name: pids(host, name) for host in self.hosts}
        assert all(len(numbers) <= 1 for numbers in found.values()), f"more than one {name} on a host: {found}"
        return {host: numbers[0] for host, numbers in found.items() if numbers}


def pids(host: Host, name: str) -> list[int]:
    """Processes of this name on a host."""
    return [int(word) for word in host.ssh("pgrep", "-x", name, check=False).stdout.split()]
