"""Hosts for tests: containers with systemd and sshd on a private network, reached over ssh like machines.

Molecule's create and destroy call this as a program, tests call it from Python; there is no other way containers are made.

    python -m tests.support.hosts up FOLDER master1 worker1=trixie     # NAME[=FLAVOUR], see host_image.py
    python -m tests.support.hosts down FOLDER

FOLDER then holds an inventory (``connection.yml``: how to reach each host), ``ssh_key`` and ``known_hosts``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from tests.support.host_image import image
from tests.support.podman import PodmanError, cannot_run, make_network, podman, run
from tests.support.wait import wait_until

FIRST_ADDRESS = 10  # of a network; the addresses below are for the gateway and other uses
BOOT = 60.0  # seconds a host may take to boot
OWNER = "stoker.owner"  # label: the process that a container is for
OWNER_VARIABLE = "STOKER_TEST_OWNER"  # processes that make hosts read it; without it the hosts have no owner


@dataclass(frozen=True)
class Host:
    """One container. ``name`` is its host name, which the hosts of its network resolve."""

    name: str
    address: str
    container: str
    folder: Path

    def ssh(self, *words: str, check: bool = True, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command line over ssh, as root. Raises PodmanError when it fails (with ``check``)."""
        known = ["-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "BatchMode=yes"]
        key = ["-i", str(self.folder / "ssh_key"), "-o", "IdentitiesOnly=yes"]
        return run("ssh", *known, *key, f"root@{self.address}", *words, check=check, timeout=timeout)

    def exec(self, *words: str, timeout: float = 60.0) -> str:
        """Return what a command in the container prints, also when its network is cut. Raises PodmanError."""
        return podman("exec", self.container, *words, timeout=timeout)

    def write(self, path: str, text: str) -> None:
        """Make a file that everybody may read. Raises PodmanError."""
        with tempfile.NamedTemporaryFile("w", prefix="stoker-") as file:
            file.write(text)
            file.flush()
            Path(file.name).chmod(0o644)
            podman("cp", file.name, f"{self.container}:{path}")

    def pause(self) -> None:
        """Freeze every process of the host, like a machine that hangs."""
        podman("pause", self.container)

    def resume(self) -> None:
        podman("unpause", self.container)

    def kill(self) -> None:
        """Power off at once."""
        podman("kill", self.container)

    def start(self) -> None:
        """Power on, and wait until it has booted."""
        podman("start", self.container)
        self.await_boot()

    def reboot(self) -> None:
        """Shut down in order, start, and wait until it has booted."""
        podman("restart", "--time", "30", self.container)
        self.await_boot()

    def partition(self, *others: Host) -> None:
        """Drop packets to and from the others; without others, all packets, those of ssh included."""
        for rule in [["-s", other.address] for other in others] or [[]]:
            self._iptables("-I", "INPUT", *rule, "!", "-i", "lo", "-j", "DROP")
        for rule in [["-d", other.address] for other in others] or [[]]:
            self._iptables("-I", "OUTPUT", *rule, "!", "-o", "lo", "-j", "DROP")

    def lose(self, probability: float) -> None:
        """Drop incoming packets at random, with this probability."""
        chance = ["-m", "statistic", "--mode", "random", "--probability", f"{probability:.4f}"]
        self._iptables("-I", "INPUT", "!", "-i", "lo", *chance, "-j", "DROP")

    def heal(self) -> None:
        """End partition and loss."""
        self._iptables("-F")

    def await_boot(self) -> None:
        """Wait until sshd answers. Units may still be starting; a worker's unit starts until the worker is registered.
        Raises AssertionError."""
        wait_until(self._greets, within=BOOT, what=f"sshd of {self.name}")

    def await_units(self) -> None:
        """Wait until systemd has started everything. Raises PodmanError when a unit failed, AssertionError when it takes
        too long."""
        ask = ("podman", "exec", self.container, "systemctl", "is-system-running", "--wait")
        said = wait_until(partial(_verdict, *ask), within=BOOT, what=f"systemd of {self.name}")
        if said != "running":
            failed = podman("exec", self.container, "systemctl", "list-units", "--failed", "--no-legend", check=False)
            raise PodmanError(f"{self.name} is {said}: {failed}")

    def _greets(self) -> bool:
        return bool(run("ssh-keyscan", "-T", "2", self.address, check=False).stdout)

    def _iptables(self, *words: str) -> None:
        """Run it in the container's network namespace, where no process of the container sees it."""
        pid = podman("inspect", "--format", "{{.State.Pid}}", self.container)
        run("nsenter", "--target", pid, "--net", "iptables", "--wait", *words)


class Hosts:
    """Containers on one network. One folder holds everything about them, so that another process can use them later."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.network = f"stoker-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:10]}"
        # The path of a control socket may have 107 characters; a path below the folder could be longer.
        self.sockets = Path(tempfile.gettempdir()) / self.network
        self._hosts = {host.name: host for host in self._load()}

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts.values())

    def up(self, flavours: dict[str, str]) -> None:
        """Make a host for each name, of that flavour; what was here before is removed. Raises PodmanError.

        The caller checks ``cannot_run`` first.
        """
        images = {name: image(flavour) for name, flavour in flavours.items()}
        self.down()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sockets.mkdir(mode=0o700)
        key = self.folder / "ssh_key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.network, "-f", str(key))
        subnet = make_network(self.network)
        for number, name in enumerate(flavours, FIRST_ADDRESS):
            self._hosts[name] = Host(name, str(subnet[number]), f"{self.network}-{name}", self.folder)
        self._save()
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda host: self._start(host, images[host.name]), self))
            list(pool.map(Host.await_units, self))
            list(pool.map(Host.await_boot, self))
        self._write_connection()

    def down(self) -> None:
        """Remove the containers, the network and all files, also after an ``up`` that failed half-way."""
        for socket in filter(Path.is_socket, self.sockets.rglob("*")):  # ssh's masters live on in the background
            run("ssh", "-o", f"ControlPath={socket}", "-O", "exit", "-", check=False)
        names = podman("ps", "--all", "--quiet", "--filter", f"label=stoker.network={self.network}").split()
        if names:
            podman("rm", "--force", "--volumes", "--time", "0", *names)
        if run("podman", "network", "inspect", self.network, check=False).returncode == 0:
            podman("network", "rm", "--force", self.network)
        shutil.rmtree(self.sockets, ignore_errors=True)
        for name in ("hosts.json", "connection.yml", "known_hosts", "ssh_key", "ssh_key.pub"):
            (self.folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder does not exist, or others keep files in it
            self.folder.rmdir()
        self._hosts = {}

    def _start(self, host: Host, of: str) -> None:
        number = int(host.address.rsplit(".", 1)[1])
        names = [f"--add-host={other.name}:{other.address}" for other in self]
        # The same MAC after a restart; with a new one, its neighbours would send to the old one for half a minute.
        place = ["--network", self.network, "--ip", host.address, "--mac-address", f"02:00:0a:d5:00:{number:02x}"]
        # SYS_ADMIN: so that systemd sandboxes units as on a machine (Debian 13's systemd needs it to start them); NET_ADMIN:
        # for the image's no-way-out.service.
        podman(
            "run", "--detach", "--replace", "--systemd=always", "--cap-add=SYS_ADMIN,NET_ADMIN",
            "--name", host.container, "--hostname", host.name,
            "--label", f"stoker.network={self.network}", "--label", f"{OWNER}={os.environ.get(OWNER_VARIABLE, '')}",
            *place, *names,
            "--volume", f"{self.folder / 'ssh_key.pub'}:/root/.ssh/authorized_keys:ro", of, "/sbin/init",
        )  # fmt: skip

    def _write_connection(self) -> None:
        known = []
        for host in self:
            key = host.exec("cat", "/etc/ssh/ssh_host_ed25519_key.pub")
            known.append(f"{host.name},{host.address} {' '.join(key.split()[:2])}\n")
        (self.folder / "known_hosts").write_text("".join(known))
        reach = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.folder / "ssh_key"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.folder / 'known_hosts'}",
            "ansible_control_path_dir": str(self.sockets),
        }
        inventory = {"all": {"hosts": {host.name: {"ansible_host": host.address, **reach} for host in self}}}
        (self.folder / "connection.yml").write_text(yaml.safe_dump(inventory, sort_keys=False))

    def _save(self) -> None:
        (self.folder / "hosts.json").write_text(json.dumps({host.name: host.address for host in self}))

    def _load(self) -> list[Host]:
        try:
            addresses = json.loads((self.folder / "hosts.json").read_text())
        except FileNotFoundError:
            return []
        return [Host(name, address, f"{self.network}-{name}", self.folder) for name, address in addresses.items()]


def _verdict(*command: str) -> str:
    """Return the state that systemctl reports; empty while process 1 is not systemd yet ("offline"), or does not answer."""
    said = run(*command, check=False, timeout=BOOT).stdout.strip()
    return "" if said in ("offline", "unknown", "initializing", "starting") else said


def own_hosts() -> None:
    """Mark the hosts that this process and its children make from now on: ``sweep`` removes them when this process has
    exited."""
    os.environ[OWNER_VARIABLE] = f"{os.getpid()}-{_started(os.getpid())}"


def sweep() -> None:
    """Remove the containers and networks of processes that were killed before they could do it."""
    labels = f'{{{{index .Labels "stoker.network"}}}} {{{{index .Labels "{OWNER}"}}}}'
    found = podman("ps", "--all", "--filter", f"label={OWNER}", "--format", f"{{{{.Names}}}} {labels}")
    for line in found.splitlines():
        name, network, owner = [*line.split(" "), "", ""][:3]
        pid, _, started = owner.partition("-")
        if owner and _started(int(pid)) != started:
            podman("rm", "--force", "--volumes", "--time", "0", name)
            run("podman", "network", "rm", network, check=False)  # succeeds with its last container


def _started(pid: int) -> str:
    """Return when the kernel started the process: with its pid it identifies the process. Empty when the process has
    exited."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return ""


@contextlib.contextmanager
def running_hosts(folder: Path, flavours: dict[str, str]) -> Iterator[Hosts]:
    """Hosts for one test, removed afterwards even if the test fails."""
    hosts = Hosts(folder)
    try:
        hosts.up(flavours)
        yield hosts
    finally:
        hosts.down()


def main(words: list[str]) -> int:
    """The program that molecule calls; see the head of this file."""
    if len(words) < 2 or words[0] not in ("up", "down"):
        print(__doc__, file=sys.stderr)
        return 2
    if reason := cannot_run():
        print(f"hosts in containers: {reason}", file=sys.stderr)
        return 1
    hosts = Hosts(Path(words[1]))
    try:
        if words[0] == "up":
            pairs = (word.partition("=") for word in words[2:])
            hosts.up({name: flavour or "bookworm" for name, _, flavour in pairs})
        else:
            hosts.down()
    except (PodmanError, AssertionError, KeyError) as error:
        print(f"hosts in containers: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
