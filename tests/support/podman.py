"""The podman command, and private networks whose packets never leave this machine."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POOL = ipaddress.ip_network("10.213.0.0/16")
PROGRAMS = {  # the command, and the Debian package that has it
    "podman": "podman",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
    "ip": "iproute2",
    "ssh": "openssh-client",
}
_SETTINGS = Path(__file__).with_name("containers.conf")


class PodmanError(Exception):
    """A command failed; the text is the command and its output."""


def cannot_run() -> str:
    """Return why containers cannot be started here, and how to mend that; empty when they can."""
    if os.geteuid() != 0:
        return "needs root, for containers with systemd: sudo make test"
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    return f"needs: sudo apt-get install {' '.join(missing)}" if missing else ""


def run(
    *command: str, timeout: float = 120.0, check: bool = True, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command. Raises PodmanError when it fails (with ``check``) or takes ``timeout`` seconds."""
    env = {**os.environ, "CONTAINERS_CONF": str(_SETTINGS), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise PodmanError(f"{' '.join(command)}: still running after {timeout:g} s") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise PodmanError(f"{' '.join(command)}: exit code {done.returncode}: {said}")
    return done


def podman(*words: str, timeout: float = 120.0, check: bool = True) -> str:
    """Return what ``podman WORDS`` prints. Raises PodmanError."""
    return run("podman", *words, timeout=timeout, check=check).stdout.strip()


@contextmanager
def exclusively(what: str) -> Iterator[None]:
    """Hold a lock, so that only one process of this machine at a time does ``what``."""
    with (Path(tempfile.gettempdir()) / f"stoker-hosts-{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_network(name: str) -> ipaddress.IPv4Network:
    """Make a separate network, of 254 addresses that are free here. Raises PodmanError.

    The route of last resort keeps packets for a stopped container's address on this machine; without it they would follow the
    default route. The route stays when the network is removed: connections outlive containers.
    """
    with exclusively("network"):
        taken = _taken()
        subnet = next((net for net in POOL.subnets(new_prefix=24) if not any(map(net.overlaps, taken))), None)
        if subnet is None:
            raise PodmanError(f"all of {POOL} is in use here: podman network ls")
        run("ip", "route", "replace", "unreachable", str(subnet), "metric", "4000000")
        podman("network", "create", "--disable-dns", "--subnet", str(subnet), name)
    return ipaddress.IPv4Network(subnet)


def _taken() -> list[ipaddress.IPv4Network]:
    routes = json.loads(run("ip", "-json", "-4", "route", "show").stdout or "[]")
    used = [route["dst"] for route in routes if route.get("type") != "unreachable" and route["dst"] != "default"]
    networks = podman("network", "ls", "--quiet").split()
    for network in json.loads(podman("network", "inspect", *networks)) if networks else []:
        used += [subnet["subnet"] for subnet in network.get("subnets", [])]
    return [ipaddress.IPv4Network(text, strict=False) for text in used if ":" not in text]
