"""Workers on which nothing differs have one task. Whatever differs on one, in each kind of thing, gets the tasks."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cluster import free_port
from tests.support.processes import alive
from tests.support.sshd import Sshd
from tests.support.wait import wait_until

pytestmark = [pytest.mark.ansible, pytest.mark.timeout(600)]
REPO = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
RELEASE = "here"  # releases of this test lead to the checkout's program
SSH_OPTIONS = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
CALLBACK = """
import json, os
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "aggregate", "stoker_seen"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result):
        if result.task.action.endswith("stoker_compare"):
            with open(os.environ["SEEN"], "a") as file:
                file.write(json.dumps([result.host.name, result.result]) + chr(10))
"""


@dataclass
class Fleet:
    """A master and a worker, reached by ssh, each with its own folders on this machine."""

    home: Path
    env: dict[str, str]

    def play(self, *words: str, check: bool = True) -> str:
        (self.home / "seen").write_text("")
        command = [str(BIN / "ansible-playbook"), "-i", str(self.home / "hosts.yml"), "playbooks/start-all.yml", *words]
        done = subprocess.run(command, cwd=REPO, env=self.env, capture_output=True, text=True, timeout=280, check=False)
        assert not check or done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        return done.stdout + done.stderr

    def compared(self, host: str) -> dict[str, Any]:
        """What the comparison of the last run said."""
        seen = dict(map(json.loads, (self.home / "seen").read_text().splitlines()))
        return dict(seen.get(host, {}))

    def at(self, path: str, host: str = "w1") -> Path:
        return self.home / host / path

    def pid(self, name: str, host: str = "w1") -> int:
        return int(self.at(f"state/run/stoker-{name}.pid", host).read_text().split()[0])


def recap(text: str, host: str) -> dict[str, int]:
    line = re.search(rf"^{host} +: (.*)$", text, re.MULTILINE)
    assert line is not None, text[-3000:]
    return {name: int(count) for name, count in (word.split("=") for word in line[1].split())}


def prepare(prefix: Path) -> None:
    """A release in the folder that both hosts share, because they share the link to the program."""
    release = prefix / "releases" / RELEASE
    (release / "bin").mkdir(parents=True)
    (release / "bin" / "stoker").symlink_to(BIN / "stoker")
    (release / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}").mkdir(parents=True)


def folders(home: Path) -> dict[str, str]:
    names = {"conf_dir": "conf", "state_dir": "state", "pid_dir": "state/run", "log_dir": "state/log"}
    return {f"stoker_common_{name}": str(home / folder) for name, folder in names.items()}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("fleet")
    sshd = Sshd(home, {"LANG": "C.UTF-8", "HOME": str(home)})
    port = free_port()
    everywhere = {
        "ansible_host": "127.0.0.1",
        "ansible_port": sshd.port,
        "ansible_ssh_private_key_file": str(home / ".ssh" / "id"),
        "ansible_ssh_common_args": SSH_OPTIONS,
        "ansible_python_interpreter": sys.executable,
        "stoker_address": "localhost",
        "stoker_common_system": False,
        "stoker_common_prefix": str(home / "prefix"),
        "stoker_common_release": RELEASE,
        "stoker_common_secrets": {"token": "hush"},
        "stoker_compare_from": 1,
        "spark_env": {"SPARK_MASTER_PORT": port, "SPARK_MASTER_WEBUI_PORT": 0, "SPARK_WORKER_WEBUI_PORT": free_port()},
    }
    prepare(home / "prefix")
    hosts = {name: folders(home / name) for name in ("m1", "w1")}
    children = {"masters": {"hosts": {"m1": None}}, "workers": {"hosts": {"w1": None}}}
    inventory = {"all": {"vars": everywhere, "hosts": hosts, "children": children}}
    (home / "hosts.yml").write_text(yaml.safe_dump(inventory))
    (home / "callbacks").mkdir()
    (home / "callbacks" / "stoker_seen.py").write_text(CALLBACK)
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "SPARK_", "STOKER_"))}
    env = {
        **keep,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "HOME": str(home),
        "SEEN": str(home / "seen"),
        "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(home / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "stoker_seen",
        "ANSIBLE_NOCOLOR": "1",
    }
    made = Fleet(home, env)
    with sshd:
        first = made.play()
        assert recap(first, "w1")["changed"] > 0
        yield made
        command = [str(BIN / "ansible-playbook"), "-i", str(home / "hosts.yml"), "playbooks/stop-all.yml"]
        subprocess.run(command, cwd=REPO, env=env, capture_output=True, timeout=120, check=False)


def test_a_worker_on_which_nothing_differs_has_one_task(fleet: Fleet) -> None:
    pids = fleet.pid("worker-1"), fleet.pid("master", "m1")
    for words in ((), ("--check", "--diff"), ("--tags", "configure")):
        said = fleet.play(*words)
        assert fleet.compared("w1")["differences"] == []
        counts = recap(said, "w1")
        assert (counts["ok"], counts["changed"], counts["skipped"]) == (1, 0, 0)
        assert recap(said, "m1")["changed"] == 0
    assert (fleet.pid("worker-1"), fleet.pid("master", "m1")) == pids


def test_without_masters_in_the_run_nobody_is_compared(fleet: Fleet) -> None:
    said = fleet.play("--limit", "w1", "--skip-tags", "verify")
    assert fleet.compared("w1") == {} and recap(said, "w1")["changed"] == 0 and recap(said, "w1")["ok"] >= 3


def test_a_difference_is_reported_and_mended_by_the_tasks(fleet: Fleet) -> None:
    file, pid = fleet.at("conf/spark-defaults.conf"), fleet.pid("worker-1")
    before = file.read_text()
    file.write_text(before + "spark.worker.timeout 31s\n")
    said = fleet.play("--check", "--diff")
    assert recap(said, "w1")["changed"] == 1 and "-spark.worker.timeout 31s" in said
    assert file.read_text() != before
    said = fleet.play()
    assert fleet.compared("w1")["differences"] == [str(file)]
    assert (recap(said, "w1")["changed"], recap(said, "m1")["changed"]) == (1, 0)
    assert file.read_text() == before and fleet.pid("worker-1") == pid


def test_with_a_master_that_lacks_its_keys_all_have_the_tasks(fleet: Fleet) -> None:
    """A master's new key goes to all workers."""
    key, file = fleet.at("conf/keys/private/master.key", "m1"), fleet.at("conf/keys/known_masters")
    before = file.read_text()
    key.rename(key.with_suffix(".away"))
    try:
        said = fleet.play("--skip-tags", "verify")
        assert fleet.compared("w1") == {} and recap(said, "w1")["changed"] == 1
        assert file.read_text() != before
    finally:
        key.with_suffix(".away").replace(key)
        said = fleet.play("--skip-tags", "verify")
    assert fleet.compared("w1")["differences"] == [str(file)] and file.read_text() == before


def append(path: str) -> Callable[[Fleet], object]:
    return lambda fleet: fleet.at(path).write_text(fleet.at(path).read_text() + "# more\n")


def chmod(path: str, mode: int) -> Callable[[Fleet], object]:
    return lambda fleet: fleet.at(path).chmod(mode)


def unlink(path: str) -> Callable[[Fleet], object]:
    return lambda fleet: fleet.at(path).unlink()


def replace_link(path: str, target: str) -> Callable[[Fleet], object]:
    def change(fleet: Fleet) -> None:
        link = fleet.at(path)
        link.unlink()
        link.symlink_to(target)

    return change


def kill_worker(fleet: Fleet) -> None:
    pid = fleet.pid("worker-1")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), what="the worker has ended")


def start_with_other_settings(fleet: Fleet) -> None:
    note = fleet.at("state/run/stoker-worker-1.pid")
    pid, started, _ = note.read_text().split()
    note.write_text(f"{pid} {started} 0123456789ab\n")


def note_another_worker(fleet: Fleet) -> None:
    pid, started, deployment = fleet.at("state/run/stoker-worker-1.pid").read_text().split()
    fleet.at("state/run/stoker-worker-2.pid").write_text(f"{pid} {started} {deployment}\n")


KINDS: dict[str, tuple[Callable[[Fleet], object], str]] = {
    "content of spark-env": (append("conf/spark-env"), "conf/spark-env"),
    "content of spark-defaults.conf": (append("conf/spark-defaults.conf"), "conf/spark-defaults.conf"),
    "mode of a file": (chmod("conf/spark-env", 0o600), "conf/spark-env"),
    "missing file": (unlink("conf/client"), "conf/client"),
    "trusted masters": (append("conf/keys/known_masters"), "keys/known_masters"),
    "mode of the trusted masters": (chmod("conf/keys/known_masters", 0o644), "keys/known_masters"),
    "secret": (append("conf/secrets/token"), "secrets/token"),
    "mode of a secret": (chmod("conf/secrets/token", 0o644), "secrets/token"),
    "missing secret": (unlink("conf/secrets/token"), "secrets/token"),
    "link to the program": (replace_link("../.local/bin/stoker", "/nowhere"), "link "),
    "current release": (replace_link("../prefix/current", "releases/other"), "current release here instead of other"),
    "missing release": (lambda fleet: shutil.rmtree(fleet.at(f"../prefix/releases/{RELEASE}/lib")), "release here"),
    "missing key": (unlink("conf/keys/private/worker.key"), "keys for worker"),
    "mark of the keys folder": (unlink("conf/keys/managed"), "keys"),
    "daemon that has ended": (kill_worker, "worker-1: started"),
    "daemon with other settings": (start_with_other_settings, "worker-1: restarted"),
    "daemon that is not wanted": (note_another_worker, "worker-2: stopped"),
}


@pytest.fixture(scope="module")
def arguments(fleet: Fleet) -> dict[str, Any]:
    """What the controller sent to the worker."""
    fleet.play("--skip-tags", "verify")
    sent: dict[str, Any] = fleet.compared("w1")["invocation"]["module_args"]
    assert "hush" not in json.dumps(sent), "the secret is shown"
    sent["secrets"][0]["content"] = "hush\n"
    return sent


def ask(fleet: Fleet, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a module on this machine, in check mode."""
    environ = {**fleet.env, "PYTHONPATH": str(REPO / "playbooks" / "collections")}
    text = json.dumps(
        {"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": True, "_ansible_remote_tmp": "/tmp"}}
    )
    command = [sys.executable, str(REPO / "plugins" / "modules" / f"{name}.py")]
    done = subprocess.run(command, input=text, env=environ, capture_output=True, text=True, timeout=60, check=False)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_difference_is_seen(fleet: Fleet, arguments: dict[str, Any], kind: str, tmp_path: Path) -> None:
    """By the comparison as by the modules that it replaces, which then mend it."""
    change, difference = KINDS[kind]
    assert ask(fleet, "stoker_compare", arguments)["differences"] == []
    kept = [fleet.at("conf"), fleet.home / "prefix", fleet.at("state/run")]
    for folder in kept:
        shutil.copytree(folder, tmp_path / folder.name, symlinks=True)
    change(fleet)
    try:
        answer = ask(fleet, "stoker_compare", arguments)
        assert not answer["unchanged"] and not answer["changed"] and "public" not in answer
        assert any(difference in text for text in answer["differences"]), answer
        secrets = {"secrets": arguments["secrets"]}
        both = [
            ask(fleet, "stoker_host", arguments["host"]),
            ask(fleet, "stoker_daemon", {**arguments["daemon"], **secrets}),
        ]
        would = any(one.get("changed") or one.get("failed") or one.get("settled") is False for one in both)
        assert would, "the modules would do nothing"
    finally:
        if kind == "daemon that has ended":
            fleet.play()
        else:
            for folder in kept:
                shutil.rmtree(folder)
                shutil.copytree(tmp_path / folder.name, folder, symlinks=True)
            link = fleet.home / ".local" / "bin" / "stoker"
            link.unlink()
            link.symlink_to(fleet.home / "prefix" / "current" / "bin" / "stoker")
