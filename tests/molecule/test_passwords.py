"""Hosts that let people in by password only: ``ansible-playbook --ask-pass -f 1``, Spark's SPARK_SSH_FOREGROUND."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.hosts import Hosts, running_hosts
from tests.support.site import BIN, REPO, Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the images are built the first time
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with running_hosts(tmp_path_factory.mktemp("hosts"), {"master": "bookworm", "worker": "trixie"}) as running:
        for host in running:
            host.ssh("useradd --create-home alice")
            host.ssh(f"echo 'alice:{PASSWORD}' | chpasswd")
            host.ssh("echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/alice")
        yield running


def typed(site: Site, connection: Path, password: str) -> tuple[int, str]:
    """Exit code and output of stop-all when somebody at a terminal types the password it asks for."""
    words = site.command("stop-all", "--ask-pass", "-f", "1", "--become", connection=connection)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(REPO)
        os.execve(str(BIN / "ansible-playbook"), words, site.environment())
    output, asked = b"", False
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the last process at the terminal has ended
            break
        output += piece
        if not asked and b"SSH password:" in output:
            asked = True
            os.write(terminal, f"{password}\n".encode())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output.decode()


@pytest.mark.parametrize(
    ("password", "code", "reached"), [(PASSWORD, 0, 2), ("wrong horse", 4, 0)], ids=["right", "wrong"]
)
def test_a_password_is_asked_for_once_and_used_everywhere(
    hosts: Hosts, tmp_path: Path, password: str, code: int, reached: int
) -> None:
    connection = yaml.safe_load((hosts.folder / "connection.yml").read_text())
    for found in connection["all"]["hosts"].values():
        del found["ansible_ssh_private_key_file"]
        found["ansible_user"] = "alice"
        found["ansible_control_path_dir"] = str(tmp_path)
        found["ansible_ssh_common_args"] += " -o ControlMaster=no -o PubkeyAuthentication=no"
    (tmp_path / "connection.yml").write_text(yaml.safe_dump(connection))
    inventory = {"all": {"children": {"masters": {"hosts": {"master": None}}, "workers": {"hosts": {"worker": None}}}}}
    ended, output = typed(Site(hosts, inventory, tmp_path), tmp_path / "connection.yml", password)
    assert ended == code, output
    assert output.count("SSH password:") == 1 and password not in output
    assert len(re.findall(r"unreachable=0 +failed=0", output)) == reached, output
