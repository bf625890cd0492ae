"""The containers behave like the machines they stand for, and leave nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosts import Host, Hosts, running_hosts, sweep
from tests.support.podman import PodmanError, podman
from tests.support.wait import wait_until

REPO = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the images are built the first time


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with running_hosts(tmp_path_factory.mktemp("hosts"), {"one": "bookworm", "two": "trixie"}) as hosts:
        yield hosts


def reaches(here: Host, there: Host) -> bool:
    """Whether one host can open a connection to the other's sshd."""
    attempt = f"import socket; socket.create_connection(({there.name!r}, 22), 1)"
    try:
        here.exec("python3", "-c", attempt)
    except PodmanError:
        return False
    return True


def test_hosts_are_reached_over_ssh_and_know_each_other_by_name(pair: Hosts) -> None:
    assert [host.ssh("hostname").stdout for host in pair] == ["one\n", "two\n"]
    assert reaches(pair["one"], pair["two"]) and reaches(pair["two"], pair["one"])


def test_nothing_leaves_the_network(pair: Hosts) -> None:
    for host in pair:
        attempt = host.ssh("ip route get 198.51.100.1", check=False)
        assert attempt.returncode != 0 and "No route" in attempt.stderr


def test_a_partition_cuts_two_hosts_apart_until_it_heals(pair: Hosts) -> None:
    one, two = pair
    one.partition(two)
    assert not reaches(one, two) and not reaches(two, one)
    assert one.ssh("hostname").stdout == "one\n", "only the two are apart"
    one.heal()
    wait_until(lambda: reaches(one, two) and reaches(two, one))


def test_a_host_that_is_cut_off_answers_nobody(pair: Hosts) -> None:
    one, two = pair
    two.partition()
    with pytest.raises(PodmanError):
        two.ssh("true", timeout=2)
    assert not reaches(one, two)
    two.heal()
    assert two.ssh("hostname").stdout == "two\n"


def test_all_packets_can_be_lost(pair: Hosts) -> None:
    one, two = pair
    two.lose(1.0)
    assert not reaches(one, two)
    two.heal()
    wait_until(lambda: reaches(one, two))


def test_a_frozen_host_does_not_answer_until_it_is_resumed(pair: Hosts) -> None:
    one, two = pair
    two.pause()
    with pytest.raises(PodmanError):
        two.ssh("true", timeout=2)
    two.resume()
    assert two.ssh("hostname").stdout == "two\n"
    assert reaches(one, two)


def test_a_host_comes_back_from_a_power_cut_and_from_a_reboot_with_its_address_and_key(pair: Hosts) -> None:
    one, two = pair
    two.ssh("touch /srv/kept /run/lost")
    two.kill()
    assert not reaches(one, two)
    two.start()
    assert reaches(one, two)
    two.reboot()
    assert two.ssh("ls /srv /run/lost", check=False).stdout == "/srv:\nkept\n"


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    hosts = Hosts(tmp_path / "hosts")
    hosts.up({"alone": "bookworm"})
    # ssh's master goes to the background with its socket in the hosts' folder, as Ansible has it.
    master = ["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", f"ControlPath={hosts.sockets}/%h"]
    reach = ["-o", f"UserKnownHostsFile={hosts.folder}/known_hosts", "-i", f"{hosts.folder}/ssh_key"]
    command = ["ssh", *master, *reach, f"root@{hosts['alone'].address}", "true"]
    subprocess.run(command, check=True, timeout=30, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert any(hosts.sockets.iterdir())
    hosts.down()
    assert hosts.network not in podman("ps", "--all", "--format", "{{.Names}}")
    assert hosts.network not in podman("network", "ls", "--format", "{{.Name}}")
    assert not hosts.sockets.exists() and not hosts.folder.exists()
    assert "ControlPath=" + str(hosts.sockets) not in processes() and f"{hosts.sockets}/" not in processes()


def test_hosts_of_a_run_that_was_killed_are_swept_away_and_others_stay(pair: Hosts, tmp_path: Path) -> None:
    program = "import os, pathlib, sys, tests.support.hosts as h; h.own_hosts();"
    program += " h.Hosts(pathlib.Path(sys.argv[1])).up({'orphan': 'bookworm'}); os.kill(os.getpid(), 9)"
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "hosts")], cwd=REPO, timeout=120, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    left = Hosts(tmp_path / "hosts")
    assert left.network in podman("ps", "--format", "{{.Names}}")
    sweep()
    assert left.network not in podman("ps", "--all", "--format", "{{.Names}}")
    assert left.network not in podman("network", "ls", "--format", "{{.Name}}")
    assert pair["one"].ssh("hostname").stdout == "one\n"
    left.down()


def processes() -> str:
    return subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
