"""A cluster on test hosts as its operator sees it: an inventory that can be edited, playbooks, and the client."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.hosts import Host, Hosts
from tests.support.podman import podman
from tests.support.wait import wait_until

REPO = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LIMIT = 180.0  # seconds a playbook may take
PLACES = (
    "/opt/stoker",
    "/etc/stoker",
    "/var/lib/stoker*",
    "/run/stoker",
    "/var/log/stoker",
    "/usr/local/bin/stoker",
    "/etc/systemd/system/stoker*",
)
STEADY = """
import pathlib, time
pathlib.Path("/proc/self/comm").write_text("steady-job")
while True:
    time.sleep(1)
"""


class Played:
    """The result of a playbook."""

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
        self.checkout = REPO  # its playbooks are run, and its release is pushed

    def copy_checkout(self) -> None:
        """Use a copy of the checkout from now on, which tests may change."""
        self.checkout = self.folder / "checkout"
        ignored = shutil.ignore_patterns(
            ".git", ".venv", ".*_cache", "__pycache__", "artifacts", "*.egg-info", "node_modules"
        )
        shutil.copytree(REPO, self.checkout, symlinks=True, ignore=ignored)

    def command(self, playbook: str, *words: str, connection: Path | None = None) -> list[str]:
        """Write the inventory as it is now, and return the command line that runs a playbook on it."""
        file = self.folder / "hosts.yml"
        file.write_text(yaml.safe_dump(self.inventory, sort_keys=False))
        places = ["-i", str(file), "-i", str(connection or self.hosts.folder / "connection.yml")]
        return [str(BIN / "ansible-playbook"), *places, f"playbooks/{playbook}.yml", *words]

    def environment(self) -> dict[str, str]:
        keep = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        return {
            **keep,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(self.checkout / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            # start-all makes this machine a client of the cluster: in the tests' folder, not in the tester's home.
            "SPARK_CONF_DIR": str(self.hosts.folder.parent / "client"),
        }

    def play(self, playbook: str, *words: str, check: bool = True) -> Played:
        """Run a playbook; AssertionError when it fails (with ``check``)."""
        done = subprocess.run(
            self.command(playbook, *words), cwd=self.checkout, env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{playbook} {' '.join(words)}\n{done.stdout[-6000:]}"
        return Played(done.returncode, done.stdout)

    def stoker(self, *words: str, check: bool = True) -> str:
        """Return what a client command prints on this machine, which runs the playbooks; AssertionError when it fails."""
        done = subprocess.run(
            [str(BIN / "stoker"), *words],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, f"stoker {' '.join(words)}: {done.stderr}"
        return done.stdout

    def submit(self, program: str, *options: str) -> str:
        """Submit the text of a Python program; return the driver's id."""
        file = self.folder / "program.py"
        file.write_text(program)
        return self.stoker("submit", *options, str(file)).strip()

    def status(self) -> dict[str, Any]:
        """Return the cluster, as ``stoker status --json`` has it; empty when no master answers."""
        return dict(json.loads(self.stoker("status", "--json", check=False) or "{}"))

    def job(self, identifier: str) -> dict[str, Any]:
        """Return a driver, as ``stoker status --json`` has it."""
        return dict(json.loads(self.stoker("status", "--json", identifier)))

    def workers(self) -> set[str]:
        """Return the hosts of the workers that are ALIVE, by their names in the inventory; empty when no master answers."""
        alive = {worker["host"] for worker in self.status().get("workers", []) if worker["state"] == "ALIVE"}
        names = {host.address: host.name for host in self.hosts}
        return {names.get(host, host) for host in alive}

    def running(self, name: str) -> dict[str, int]:
        """Return the processes of this name (/proc/PID/comm), by host."""
        found = {host.name: pids(host, name) for host in self.hosts}
        assert all(len(numbers) <= 1 for numbers in found.values()), f"more than one {name} on a host: {found}"
        return {host: numbers[0] for host, numbers in found.items() if numbers}


def remains(host: Host) -> list[str]:
    """Return Stoker's processes, users and files on a host."""
    processes = host.exec("ps", "axww", "-o", "args").splitlines()
    users = host.exec("getent", "passwd").splitlines()
    files = host.exec("sh", "-c", f"ls -d {' '.join(PLACES)} 2>/dev/null || true").splitlines()
    return [line for line in processes + users if "stoker" in line or "zookeeper" in line] + files


def molecule_site(scenario: Path, folder: Path) -> Site:
    """The hosts that molecule made for a scenario, with its inventory."""
    hosts = Hosts(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "hosts")
    return Site(hosts, yaml.safe_load((scenario / "inventory" / "hosts.yml").read_text()), folder)


@pytest.fixture
def steady(site: Site) -> Iterator[dict[str, int]]:
    """A driver that runs throughout the test: its process, by host. The test must not have disturbed it."""
    job = site.submit(STEADY)
    before = wait_until(lambda: site.running("steady-job"))
    yield before
    assert site.running("steady-job") == before, "the driver was disturbed"
    site.stoker("kill", job)
    wait_until(lambda: not site.running("steady-job"))


def pids(host: Host, name: str) -> list[int]:
    """Return the processes of this name on a host, also while its network is cut; empty for a host that is off."""
    return [int(word) for word in podman("exec", host.container, "pgrep", "-x", name, check=False).split()]
