"""The playbooks on this machine, as a user runs them: without root, in a home of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.support.cluster import free_port
from tests.support.processes import alive

pytestmark = pytest.mark.ansible
REPO = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@dataclass
class Site:
    """An inventory with its own ports and folders."""

    home: Path
    env: dict[str, str]
    inventory: Path
    port: int
    worker_port: int = field(default_factory=free_port)  # of the first worker's dashboard

    def play(
        self, name: str, *words: str, check: bool = True, repo: Path = REPO, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [str(BIN / "ansible-playbook"), "-i", str(self.inventory), f"{repo}/playbooks/{name}.yml", *words]
        done = subprocess.run(
            command, cwd=cwd or repo, env=self.env, capture_output=True, text=True, timeout=170, check=False
        )
        assert not check or done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        return done

    def stoker(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "stoker"), *words], env=self.env, capture_output=True, text=True, timeout=60, check=False
        )

    def write(self, *, spark_env: dict[str, object] | None = None, defaults: dict[str, object] | None = None) -> None:
        base: dict[str, object] = {
            "SPARK_MASTER_PORT": self.port,
            "SPARK_MASTER_WEBUI_PORT": 0,
            "SPARK_WORKER_WEBUI_PORT": self.worker_port,
        }
        base |= {"SPARK_WORKER_CORES": 2, "SPARK_WORKER_MEMORY": "2g"}
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        here: dict[str, object] = {"localhost": None}
        content = {
            "all": {
                "vars": {"spark_env": base | (spark_env or {}), "spark_defaults": defaults or {}},
                "children": {"masters": {"hosts": here}, "workers": {"hosts": here}},
                "hosts": {"localhost": host},
            }
        }
        self.inventory.write_text(yaml.safe_dump(content))

    def pid(self, name: str) -> int:
        return int((self.home / "state" / "run" / f"stoker-{name}.pid").read_text().split()[0])


def changed(done: subprocess.CompletedProcess[str]) -> int:
    return sum(map(int, re.findall(r"changed=(\d+)", done.stdout)))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    keep = {name: os.environ[name] for name in ("LANG",) if name in os.environ}
    env = {
        **keep,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "HOME": str(tmp_path),
        "SPARK_CONF_DIR": str(tmp_path / "conf"),
        "STOKER_STATE_DIR": str(tmp_path / "state"),
        "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
    }
    found = Site(tmp_path, env, tmp_path / "hosts.yml", free_port())
    found.write()
    yield found
    found.play("stop-all", check=False)


@pytest.mark.timeout(300)
def test_start_is_verified_and_idempotent_and_stop_leaves_nothing(site: Site) -> None:
    done = site.play("start-all", "--check", "--diff")
    assert changed(done) > 0 and not (site.home / "conf" / "spark-env").exists()
    assert changed(site.play("start-all")) > 0
    status = json.loads(site.stoker("status", "--json").stdout)
    assert [worker["state"] for worker in status["workers"]] == ["ALIVE"]
    assert status["url"] == f"spark://localhost:{site.port}"
    pids = site.pid("master"), site.pid("worker-1")
    assert changed(site.play("start-all")) == 0
    assert changed(site.play("start-all", "--check", "--diff")) == 0
    assert (site.pid("master"), site.pid("worker-1")) == pids
    assert "ALIVE" in site.play("status").stdout
    assert changed(site.play("stop-all")) == 2
    assert changed(site.play("stop-all")) == 0
    assert not any(map(alive, pids)), "daemons outlive stop-all"
    assert site.play("status", check=False).returncode != 0


def test_killed_daemon_is_started_again_and_only_it(site: Site) -> None:
    site.play("start-all")
    worker = site.pid("worker-1")
    os.kill(site.pid("master"), signal.SIGKILL)
    assert changed(site.play("start-all")) == 1
    assert site.pid("worker-1") == worker


def test_changed_configuration_restarts_daemons_and_leaves_jobs(site: Site) -> None:
    site.play("start-all")
    job = site.stoker("submit", "/bin/sleep", "600").stdout.strip()
    before = site.pid("worker-1")
    site.write(defaults={"spark.worker.timeout": "30s", "spark.deploy.spreadOut": True})
    site.play("start-all")
    assert site.pid("worker-1") != before
    status = json.loads(site.stoker("status", "--json", job).stdout)
    assert status["state"] == "RUNNING" and len(status["attempts"]) == 1
    before, master = site.pid("worker-1"), site.pid("master")
    settings: dict[str, object] = {"spark.worker.timeout": "30s", "spark.deploy.spreadOut": False}
    site.write(defaults=settings)
    site.play("start-all")
    assert site.pid("worker-1") == before and site.pid("master") != master, "only masters read it"
    master = site.pid("master")
    site.write(defaults=settings | {"spark.worker.cleanup.enabled": True, "spark.executor.memory": "2g"})
    site.play("start-all")
    assert site.pid("worker-1") != before and site.pid("master") == master, "only workers read it"
    done = site.play("kill", "-e", f"id={job}")
    assert changed(done) == 1
    assert changed(site.play("kill", "-e", f"id={job}")) == 0


def test_a_changed_program_restarts_daemons_and_leaves_jobs(site: Site, tmp_path: Path) -> None:
    """For example after `git pull`: a file of the release has changed."""
    repo = tmp_path / "checkout"
    shutil.copytree(
        REPO, repo, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache", "build", "tests")
    )
    site.env["ANSIBLE_CONFIG"] = str(repo / "ansible.cfg")
    assert changed(site.play("start-all", repo=repo)) > 0
    job = site.stoker("submit", "/bin/sleep", "600").stdout.strip()
    before = site.pid("master"), site.pid("worker-1")
    assert changed(site.play("start-all", repo=repo)) == 0
    with (repo / "daemon" / "stoker" / "errors.py").open("a") as file:
        file.write("# A change.\n")
    assert changed(site.play("start-all", repo=repo)) == 1
    assert not {*before} & {site.pid("master"), site.pid("worker-1")}
    assert json.loads(site.stoker("status", "--json", job).stdout)["state"] == "RUNNING"


@pytest.mark.timeout(300)  # several playbooks on a busy machine
def test_what_another_checkout_has_started_is_left_alone(site: Site, tmp_path: Path) -> None:
    site.write(spark_env={"SPARK_WORKER_INSTANCES": 2})
    site.play("start-all")
    before = site.pid("master"), site.pid("worker-1"), site.pid("worker-2")
    other = tmp_path / "other" / ".venv" / "bin" / "stoker"
    other.parent.mkdir(parents=True)
    shutil.copy(BIN / "stoker", other)
    configured = (site.home / "conf" / "spark-env").read_bytes()
    site.write(
        spark_env={"SPARK_WORKER_CORES": 1}
    )  # the other's inventory has one worker: worker-2 is not its own either
    for name in ("start-all", "stop-all"):
        done = site.play(name, "-e", f"stoker_common_command={other}", check=False)
        said = re.sub(r"\s+", " ", done.stdout + done.stderr)
        assert done.returncode != 0 and f"was started by {BIN}/stoker, from another checkout" in said, said
    assert before == (site.pid("master"), site.pid("worker-1"), site.pid("worker-2")) and all(map(alive, before))
    assert (site.home / "conf" / "spark-env").read_bytes() == configured


def test_from_another_folder(site: Site, tmp_path: Path) -> None:
    del site.env["ANSIBLE_CONFIG"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    site.play("start-all", cwd=elsewhere)
    assert "ALIVE" in site.play("status", cwd=elsewhere).stdout
    done = site.play(
        "submit", "-e", "app=/bin/echo", "-e", '{"args": ["from elsewhere"]}', "-e", "wait=true", cwd=elsewhere
    )
    assert "from elsewhere" in done.stdout


def test_logs_are_collected_without_ps(site: Site, tmp_path: Path) -> None:
    site.play("start-all")
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for path in Path(folder).iterdir():
            if path.name != "ps" and not os.path.lexists(tools / path.name):
                (tools / path.name).symlink_to(path)
    usual, site.env["PATH"] = site.env["PATH"], f"{BIN}:{tools}"
    site.play("collect-logs", "-e", f"dest={tmp_path / 'logs'}")
    site.env["PATH"] = usual
    listed = next((tmp_path / "logs").rglob("processes.txt")).read_text().splitlines()
    assert listed[0].startswith("PID PPID USER") and any(line.startswith(f"{site.pid('master')} ") for line in listed)


def test_submit_and_kill(site: Site) -> None:
    site.play("start-all")
    done = site.play("submit", "-e", "app=/bin/echo", "-e", '{"args": ["hello from afar"]}', "-e", "wait=true")
    assert "hello from afar" in done.stdout and re.search(r"driver-\d{14}-\d{4}", done.stdout)
    done = site.play("submit", "-e", "app=/bin/false", "-e", "wait=true", check=False)
    assert done.returncode != 0
    for words, says in (
        (("-e", "id=driver-20200101000000-0000"), "driver-20200101000000-0000"),
        ((), "say what to kill"),
    ):
        done = site.play("kill", *words, check=False)
        assert done.returncode != 0 and says in done.stdout + done.stderr and "Traceback" not in done.stdout


@pytest.mark.parametrize("words", [(), ("--check",)], ids=["run", "check"])
def test_all_wrong_settings_are_named_before_anything_is_done(site: Site, words: tuple[str, ...]) -> None:
    site.write(
        spark_env={"SPARK_WORKER_CORES": "many", "SPARK_WORKER_MEMROY": "2g"},
        defaults={"spark.worker.timeout": "soon", "spark.deploy.recoveryMod": "NONE"},
    )
    done = site.play("start-all", *words, check=False)
    said = re.sub(r"\s+", " ", done.stdout + done.stderr)  # Ansible wraps lines
    assert done.returncode != 0
    for problem in (
        "SPARK_WORKER_CORES: 'many'",
        "spark_env sets the unknown variable SPARK_WORKER_MEMROY: did you mean SPARK_WORKER_MEMORY?",
        "spark.worker.timeout in spark_defaults: 'soon'",
        "did you mean spark.deploy.recoveryMode",
    ):
        assert problem in said
    assert not (site.home / "conf").exists() and not (site.home / "state").exists()


WITHOUT_STOKER = "sys.modules['stoker'] = None", "the Python of this Ansible lacks Stoker"
TOO_OLD = (
    "import ansible.release; ansible.release.__version__ = '2.18.19'",
    "ansible-core 2.18.19 is too old: 2.19 or newer",
)


@pytest.mark.parametrize(
    ("surroundings", "says", "name"),
    [
        (*WITHOUT_STOKER, "start-all"),
        (*WITHOUT_STOKER, "status"),
        (*TOO_OLD, "start_zookeepers"),
        (*TOO_OLD, "stop-all"),
    ],
)
def test_an_ansible_that_cannot_do_it_says_so_once_before_anything_is_done(
    site: Site, surroundings: str, says: str, name: str
) -> None:
    local = "ansible_connection=local"
    site.inventory.write_text(
        f"[masters]\nm1 {local}\nm2 {local}\n[workers]\nw1 {local}\n[zookeepers]\nz1 {local}\nz2 {local}\n"
    )
    program = f"import sys; {surroundings}; from ansible.cli.playbook import main; main()"
    words = [sys.executable, "-c", program, "-i", str(site.inventory), f"{REPO}/playbooks/{name}.yml"]
    done = subprocess.run(words, cwd=REPO, env=site.env, capture_output=True, text=True, timeout=100, check=False)
    said = re.sub(r"\s+", " ", done.stdout + done.stderr)
    assert done.returncode != 0 and says in said and "pip install" in said and "Traceback" not in said, said
    assert said.count("FAILED!") == 1 and done.stdout.count("TASK [") == 1, said
    assert not (site.home / "conf").exists() and not (site.home / "state").exists()


def test_every_playbook_first_checks_the_controller() -> None:
    """``bring-up``, ``lock`` and ``unlock`` are only imported, after the check."""
    imported = ("bring-up", "bring_up", "lock", "unlock")
    for path in sorted((REPO / "playbooks").glob("*.yml")):
        first = path
        while first != REPO / "playbooks" / "includes.yml" and path.stem not in imported:
            play = yaml.safe_load(first.read_text())[0]
            if "ansible.builtin.import_playbook" not in play:
                assert play["tasks"][0]["ansible.builtin.import_tasks"] == "tasks/controller.yml", path
                break
            first = first.parent / play["ansible.builtin.import_playbook"]


def test_tags_configure_without_a_restart_and_start_a_part(site: Site) -> None:
    site.play("start-all")
    before = site.pid("master"), site.pid("worker-1")
    site.write(defaults={"spark.worker.timeout": "30s"})
    assert changed(site.play("start-all", "--tags", "configure")) == 1
    assert (site.pid("master"), site.pid("worker-1")) == before
    assert "spark.worker.timeout 30s" in (site.home / "conf" / "spark-defaults.conf").read_text()
    assert changed(site.play("start-all", "--tags", "masters,verify")) == 1
    assert site.pid("master") != before[0] and site.pid("worker-1") == before[1]


def test_daemon_that_does_not_come_up_shows_its_last_words(site: Site) -> None:
    site.write(defaults={"spark.deploy.recoveryMode": "FILESYSTEM", "spark.deploy.recoveryDirectory": "/proc/nowhere"})
    done = site.play("start-all", check=False)
    assert done.returncode != 0
    assert "cannot use the recovery directory /proc/nowhere" in done.stdout + done.stderr


def test_a_master_whose_port_is_taken_says_so(site: Site) -> None:
    """On another port no client would find the master."""
    with socket.create_server(("localhost", site.port)):
        done = site.play("start-all", check=False)
    assert done.returncode != 0 and f"port {site.port} at localhost is taken" in re.sub(r"\s+", " ", done.stdout)
    site.play("start-all")


def test_several_workers_and_parts(site: Site) -> None:
    site.write(spark_env={"SPARK_WORKER_INSTANCES": 2, "SPARK_WORKER_CORES": 1})
    site.play("start-master")
    site.play("start-slaves")
    status = json.loads(site.stoker("status", "--json").stdout)
    assert len([worker for worker in status["workers"] if worker["state"] == "ALIVE"]) == 2
    assert changed(site.play("stop-workers")) == 1
    assert changed(site.play("stop-slaves")) == 0
    assert changed(site.play("stop-master")) == 1
