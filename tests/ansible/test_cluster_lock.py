"""Two runs of the playbooks on one cluster at the same time, and the lock that a killed run leaves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from plugins.modules.stoker_lock import force, read, release, take
from tests.ansible.test_playbooks import BIN, REPO, Site, changed, site  # noqa: F401 - a fixture
from tests.support.processes import alive
from tests.support.wait import wait_until

pytestmark = [pytest.mark.ansible, pytest.mark.timeout(300)]
ADA: dict[str, Any] = {"controller": "c1", "machine": "boot1", "pid": 7, "started": "70"}
BOB: dict[str, Any] = {"controller": "c2", "machine": "boot2", "pid": 7, "started": "70"}


def test_a_lock_is_renewed_expires_and_is_released_by_its_holder_only(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    assert take(path, ADA, {}, 100, now=1000) == {}
    assert take(path, BOB, {}, 100, now=1099)["since"] == 1000
    assert take(path, ADA, {}, 100, now=1099) == {} and read(path)["since"] == 1000
    assert take(path, BOB, {}, 100, now=1150)["until"] == 1199
    assert not release(path, BOB) and read(path)
    assert take(path, BOB, {}, 100, now=1200) == {}
    assert take(path, ADA, BOB, 100, now=1201) == {}, "a run that has ended holds nothing"
    assert release(path, ADA) and not release(path, ADA)
    assert force(path, ADA) == {} and take(path, BOB, {}, 100, now=1300) == {}
    assert force(path, ADA)["controller"] == "c2" and not read(path)


def test_a_file_that_cannot_be_understood_locks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for text in ("", "[]", "{}", '{"since": 1, "until": null}', "\0"):
        path.write_text(text)
        assert take(str(path), ADA, {}, 100, now=1000) == {}


def test_the_second_run_names_the_first_and_a_killed_one_is_in_nobodys_way(site: Site) -> None:  # noqa: F811
    site.play("start-all")
    words = [str(BIN / "ansible-playbook"), "-i", str(site.inventory), f"{REPO}/playbooks/start-all.yml"]
    log = site.home / "first"
    with log.open("w") as file:
        first = subprocess.Popen(words, cwd=REPO, env=site.env, stdout=file, stderr=file, start_new_session=True)
    try:
        wait_until(
            lambda: "PLAY [Start the ZooKeepers]" in log.read_text(), within=120, what="the first run has the lock"
        )
        os.killpg(first.pid, signal.SIGSTOP)
        done = site.play("upgrade", "-e", "lock_timeout=1", check=False)
        said = re.sub(r"\s+", " ", done.stdout + done.stderr)
        assert done.returncode and "localhost: waiting for " in said
        assert "another run of the playbooks changes this cluster: " in said
        assert re.search(rf" on \S+ runs start-all.yml since [-\d]+ [:\d]+ \S+, process {first.pid}; wait", said)
        assert changed(site.play("start-all", "--check")) == 0, "check mode takes no lock"
        done = site.play("stop-all", "-e", "lock_timeout=0", check=False)
        said = re.sub(r"\s+", " ", done.stdout + done.stderr)
        assert done.returncode and "run 'ansible-playbook playbooks/force-unlock.yml', or wait until" in said
        assert alive(site.pid("master")), "nothing was stopped"
        done = site.play("force-unlock")
        assert re.search(r"freed the lock on localhost: .* runs start-all.yml since", done.stdout)
        assert changed(site.play("start-all", "-e", "lock_timeout=0")) == 0
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert changed(site.play("start-all", "-e", "lock_timeout=0")) == 0
