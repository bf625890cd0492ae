"""playbooks/user.yml: a person is invited on one master and admitted by all; a second run changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from stoker.core.model.states import Role
from stoker.security.authorizer import Peer, parse_authorized
from stoker.security.keys import Keys
from stoker.security.people import accept

pytestmark = [pytest.mark.ansible, pytest.mark.timeout(300)]
REPO = Path(__file__).parents[2]
MASTERS = ("m1", "m2")


def play(home: Path, *words: str) -> str:
    """Run the playbook for two masters on this machine, each with a configuration of its own."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {name: {**local, "stoker_common_conf_dir": str(home / name)} for name in MASTERS}
    inventory = home / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"all": {"children": {"masters": {"hosts": hosts}}}}))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), "playbooks/user.yml"]
    extra = [word for one in ("person=ada", *words) for word in ("-e", one)]
    env = {**os.environ, "HOME": str(home), "ANSIBLE_CONFIG": "ansible.cfg"}
    done = subprocess.run(
        [*command, *extra], cwd=REPO, env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "reserved name" not in done.stderr
    return done.stdout


def admitted(home: Path) -> list[dict[str, Peer]]:
    """Return the people that each master admits, by key."""
    found = [parse_authorized(home / name / "keys" / "authorized") for name in MASTERS]
    return [{key: peer for key, peer in one.items() if peer.is_person} for one in found]


def test_a_person_is_invited_and_revoked(tmp_path: Path) -> None:
    for name in MASTERS:
        Keys.open(tmp_path / name / "keys", create=tuple(Role))
        (tmp_path / name / "client").write_text("spark://127.0.0.1:7077\n")
    saved = tmp_path / "ada.invitation"
    words = ("expires=90d", f"save={saved}")
    said = play(tmp_path, *words)
    assert saved.stat().st_mode & 0o777 == 0o600
    assert saved.read_text().split('"secret":"')[1][:40] not in said
    assert accept(tmp_path / "laptop", saved.read_text()) == ("ada", "spark://127.0.0.1:7077")
    public = Keys(tmp_path / "laptop").pair(Role.CLIENT)[0]
    for people in admitted(tmp_path):
        assert list(people) == [public] and people[public].name == "ada"
        assert abs(people[public].expires - time.time() - 90 * 86400) < 300

    (tmp_path / "m2" / "keys" / "authorized").write_text("")  # it was away when she was invited
    os.utime(tmp_path / "m2" / "keys" / "authorized", (1, 1))
    said = play(tmp_path, *words)
    assert said.count("changed=0 ") == 1 and said.count("changed=1 ") == 1, "the first master has nothing to change"
    assert [list(people) for people in admitted(tmp_path)] == [[public], [public]]

    play(tmp_path, "state=absent")
    assert admitted(tmp_path) == [{}, {}]
