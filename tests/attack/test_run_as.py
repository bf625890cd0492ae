"""Jobs that run as their submitters (docs/run-as.md): real accounts, real daemons as systemd starts them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import stoker
from tests.support.accounts import UIDS, AccountsMachine, SharedCluster, machine
from tests.support.cluster import STOKER
from tests.support.wait import wait_until

__all__ = ["machine"]
pytestmark = [pytest.mark.cluster, pytest.mark.slow]

WHO = """\
import grp, json, os, sys
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
print(json.dumps({
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(), "cwd": os.getcwd(),
    "mode": os.stat(".").st_mode & 0o777, "owner": os.stat(".").st_uid, "umask": os.umask(0),
    "caps": [status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")],
    "env": dict(os.environ), "mine": os.access(sys.argv[0], os.R_OK),
}))
os.system("echo to-stderr >> /dev/stderr; echo end >> /dev/stdout")
"""


def test_a_job_runs_as_its_submitter(machine: AccountsMachine) -> None:
    with SharedCluster(machine, "required", users="principals:\n  carol: bob\n") as cluster:
        cluster.invite("ada")
        script = cluster.script("who.py", WHO)
        job = cluster.submit_as("ada", script)
        cluster.wait_for(job, "FINISHED", "FAILED", "ERROR")
        printed = cluster.cli("logs", job).stdout.splitlines()
        found = json.loads(printed[0])
        assert found["uid"] == [UIDS["ada"]] * 3 and found["gid"] == [UIDS["ada"]] * 3
        assert found["groups"] == [UIDS["ada"]]
        assert found["caps"] == ["0000000000000000"] * 4
        assert (found["owner"], oct(found["mode"]), oct(found["umask"])) == (UIDS["ada"], "0o700", "0o77")
        assert found["env"]["HOME"] == str(machine.folder_of("ada"))
        assert [found["env"][name] for name in ("USER", "LOGNAME", "SHELL")] == ["ada", "ada", "/bin/bash"]
        assert found["env"]["STOKER_KEYS_DIR"] == f"{machine.folder_of('ada')}/.config/stoker/keys"
        assert "STOKER_STATE_DIR" not in found["env"]
        assert printed[1:] == ["end"]
        assert "to-stderr" in cluster.cli("logs", "--stderr", job).stdout
        daemon = Path(f"/proc/{cluster.worker[0].pid}/status").read_text()
        assert "CapPrm:\t0000000000000000" in daemon and f"Uid:\t{UIDS['stoker']}" in daemon
        keeper = Path(f"/proc/{cluster.keeper_pid()}/status").read_text()
        assert "CapPrm:\t00000000000000e1" in keeper and "CapEff:\t0000000000000020" in keeper
        assert "CapAmb:\t0000000000000000" in keeper
        assert os.stat(cluster.work / job / "stdout").st_uid == UIDS["stoker"]


HOSTILE = """\
import ctypes, glob, json, os, signal, socket, subprocess, sys
work, conf, victim, keeper, daemon, other = sys.argv[1:]
broken = []

def attack(name, deed):
    try:
        found = deed()
    except Exception:
        return
    if found not in (None, False, b"", ""):
        broken.append(f"{name}: {found!r}"[:200])

def reads(path):
    return lambda: open(path, "rb").read(100)

def connects(path):
    def deed():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        return "connected"
    return deed

def traces(pid):
    return lambda: ctypes.CDLL(None, use_errno=True).ptrace(16, int(pid), 0, 0) == 0

for name in ("private/worker.key", "private/client.key", "private/master.key", "authorized", "tokens"):
    attack("key", reads(f"{conf}/keys/{name}"))
attack("keys", lambda: os.listdir(f"{conf}/keys"))
attack("work folder", lambda: os.listdir(work))
attack("other's folder", lambda: os.listdir(f"{work}/{other}"))
attack("other's files", lambda: os.listdir(f"{work}/{other}/attempt-1"))
attack("other's output", reads(f"{work}/{other}/stdout"))
attack("own output replaced", lambda: os.unlink("../stdout") or "removed")
attack("link planted", lambda: os.symlink("/etc/passwd", "../planted") or "planted")
attack("slot", lambda: os.listdir(f"{work}/.stoker"))
attack("keeper's socket", connects(f"{work}/.stoker/worker-1/keeper.sock"))
attack("keeper's journal", reads(f"{work}/.stoker/worker-1/journal"))
for pid in (victim, keeper, daemon):
    attack("environment", reads(f"/proc/{pid}/environ"))
    attack("memory", reads(f"/proc/{pid}/mem"))
    attack("files", lambda: os.listdir(f"/proc/{pid}/fd"))
    attack("ptrace", traces(pid))
    attack("kill", lambda: os.kill(int(pid), signal.SIGCONT) or "signalled")
for uid in (0, 64200, 64202):
    attack("setuid", lambda: os.setuid(uid) or "became it")
    attack("setresuid", lambda: os.setresuid(uid, uid, uid) or "became it")
attack("setgroups", lambda: os.setgroups([0]) or "joined")
attack("keys in the environment", lambda: [v for v in os.environ.values() if f"{conf}/keys" in v] or "")
environ = {**os.environ, "STOKER_KEYS_DIR": f"{conf}/keys"}
for words in (["status"], ["kill", other], ["worker", "-h", "127.0.0.1", "--webui-port", "0", os.environ["MASTER"]]):
    done = subprocess.run([sys.executable, "-m", "stoker", *words], env=environ, capture_output=True, text=True, timeout=30)
    if done.returncode == 0:
        broken.append(f"stoker {words}: {done.stdout[:100]}")
print(json.dumps(broken))
"""


def test_a_hostile_job_gets_nowhere(machine: AccountsMachine) -> None:
    with SharedCluster(machine, "required", cores=4) as cluster:
        cluster.invite("ada")
        cluster.invite("bob")
        victim_script = cluster.script(
            "victim.py", "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n"
        )
        other = cluster.submit_as("bob", victim_script)
        victim = str(cluster.wait_for(other, "RUNNING")["attempts"][-1]["pid"])
        script = cluster.script("hostile.py", HOSTILE)
        words = [str(cluster.work), str(cluster.home / "conf"), victim, str(cluster.keeper_pid())]
        job = cluster.submit_as("ada", script, *words, str(cluster.worker[0].pid), other)
        found = cluster.wait_for(job, "FINISHED", "FAILED", "ERROR", within=90)
        assert found["state"] == "FINISHED", cluster.cli("logs", "--stderr", job).stdout
        assert json.loads(cluster.cli("logs", job).stdout) == []
        assert cluster.status(other)["state"] == "RUNNING"
        # The key alone is what counts: the same commands work for who has one.
        assert cluster.as_person("ada", "kill", other).returncode != 0
        assert cluster.as_person("bob", "kill", other).returncode == 0
        cluster.wait_for(other, "KILLED")


def test_who_has_no_account(machine: AccountsMachine) -> None:
    """Who is mapped, who is rejected with which words, what a bad file changes, and what status says."""
    with SharedCluster(machine, "required", users="principals:\n  root: ada\n") as cluster:
        script = cluster.script("id.py", "import os\nprint(os.getuid())\n")
        job = cluster.submit(script)  # root's commands: its keys are the daemon's
        found = cluster.wait_for(job, "FINISHED", "FAILED", "ERROR")
        assert found["state"] == "ERROR", found
        assert "stoker is the worker's own account" in found["reason"] and "users.yml" in found["reason"]

        cluster.users.write_text("principals:\n  stoker: ada\n")
        job = cluster.submit(script)
        found = cluster.wait_for(job, "FINISHED", "FAILED", "ERROR")
        assert (found["state"], found["attempts"][-1]["account"]) == ("FINISHED", "ada"), found
        assert cluster.cli("logs", job).stdout == f"{UIDS['ada']}\n"

        cluster.users.write_text("principals:\n  stoker: root\n")
        job = cluster.submit(script)  # the mapping before the fault still holds
        assert cluster.wait_for(job, "FINISHED", "ERROR")["attempts"][-1]["account"] == "ada"
        checked = cluster.cli("config", "check", str(cluster.users))
        assert checked.returncode == 1 and "users.yml:2: stoker: jobs never run as root" in checked.stderr

        for account, why in (("service", "has the uid 420"), ("nobody-here", "nobody is called nobody-here")):
            cluster.users.write_text(f"principals:\n  stoker: {account}\n")
            found = cluster.wait_for(cluster.submit(script), "FINISHED", "ERROR")
            assert found["state"] == "ERROR" and why in found["reason"], found

        cluster.users.write_text("principals:\n  stoker: bob\n")
        os.chown(cluster.users, UIDS["stoker"], UIDS["stoker"])  # what a daemon that was taken over could write
        found = cluster.wait_for(cluster.submit(script), "FINISHED", "ERROR")
        assert found["state"] == "ERROR", found
        assert "Jobs run as" in cluster.cli("status").stdout


GROW = """\
#!/bin/sh
mkdir deep; ln -s / deep/all; head -c 8000000 /dev/zero > deep/data
while sleep 0.05; do pkill -u $(id -u) -x python3; done  # who measures it?
"""


def test_a_fault_of_users_yml_is_shown_and_disk_limits_hold(machine: AccountsMachine) -> None:
    with SharedCluster(machine, "required", users="principals:\n  stoker: ada\n") as cluster:
        program = cluster.script("grow", GROW)
        os.chmod(program, 0o755)
        limited = ("--conf", "spark.stoker.driver.maxDisk=4m")
        job = cluster.submit(*limited, program)
        found = cluster.wait_for(job, "FAILED", "ERROR", "KILLED", "FINISHED", within=60)
        assert "of 4 MiB of disk" in found["reason"] and found["attempts"][-1]["account"] == "ada", found

        cluster.users.write_text("principals:\n  stoker root\n")
        fault = "users.yml:2: 'stoker root' is not an indented line NAME: ACCOUNT"
        wait_until(lambda: fault in cluster.cli("status").stdout, what="the fault in status")
        assert "users.yml not obeyed" in cluster.cli("status").stdout
        doctor = cluster.cli("doctor").stdout
        assert f"obeys an earlier users.yml: {cluster.users}:2: 'stoker root'" in doctor, doctor
        assert "who can read" not in doctor, doctor  # no job runs as the keys' owner
        job = cluster.submit("/bin/true")
        assert cluster.wait_for(job, "FINISHED", "ERROR")["attempts"][-1]["account"] == "ada"

        # A keeper that starts with the fault knows no mapping: nothing is placed there until the file is correct.
        os.kill(cluster.keeper_pid(), signal.SIGKILL)
        wait_until(lambda: "unfit: users" in cluster.cli("status").stdout, what="unfit")
        job = cluster.submit("/bin/true")
        cluster.users.write_text("principals:\n  stoker: bob\n")
        os.chown(cluster.users, UIDS["stoker"], 0)
        wait_until(lambda: "chown root:root" in cluster.cli("status").stdout, what="the owner of the file in status")
        assert cluster.status(job)["state"] == "SUBMITTED"
        os.chown(cluster.users, 0, 0)
        assert cluster.wait_for(job, "FINISHED", "ERROR")["attempts"][-1]["account"] == "bob"
        wait_until(lambda: "users.yml" not in cluster.cli("status").stdout, what="no fault in status")
        os.chown(cluster.users.parent, UIDS["stoker"], 0)  # a daemon that was taken over could put an older file there
        os.utime(cluster.users)
        wait_until(lambda: "the worker's account owns" in cluster.cli("status").stdout, what="the owner of the folder")


def test_a_worker_that_could_change_its_keeper_does_not_start(machine: AccountsMachine) -> None:
    copy = machine.home / "stoker-of-the-worker"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(stoker.__file__).parent, copy / "stoker", ignore=ignored)
    os.chown(copy / "stoker" / "worker" / "keeper" / "keeper.py", UIDS["stoker"], 0)
    (machine.home / "conf").mkdir()
    (machine.home / "conf" / "spark-defaults.conf").write_text("spark.stoker.worker.runAs required\n")
    environ = {
        "PYTHONPATH": str(copy),
        "SPARK_CONF_DIR": str(machine.home / "conf"),
        "HOME": str(machine.folder_of("stoker")),
    }
    words = [*machine.words("stoker", capabilities=True), *STOKER, "worker", "spark://127.0.0.1:1"]
    done = subprocess.run(words, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and "the worker's account owns" in done.stderr and "keeper.py" in done.stderr, done


def test_jobs_outlive_the_daemon_and_leave_nothing(machine: AccountsMachine) -> None:
    clean = {
        "spark.worker.cleanup.enabled": "true",
        "spark.worker.cleanup.interval": "1",
        "spark.worker.cleanup.appDataTtl": "1",
    }
    users = "principals:\n  stoker: ada\n"
    with SharedCluster(machine, "mapped", users=users, properties=clean) as cluster:
        text = "import os, time\nos.makedirs('a/b')\nopen('a/b/c', 'w').close()\nos.chmod('a/b', 0o500)\n"
        script = cluster.script("long.py", text + "os.system('setsid sleep 600 &')\ntime.sleep(600)\n")
        job = cluster.submit(script)
        pid = cluster.wait_for(job, "RUNNING")["attempts"][-1]["pid"]
        wait_until((cluster.work / job / "attempt-1" / "a" / "b" / "c").exists, what="its files")
        keeper = cluster.keeper_pid()
        cluster.worker[0].kill(signal.SIGTERM)
        cluster.worker[0].start()
        wait_until(lambda: cluster.registrations() == 2, what="registered again")
        found = cluster.status(job)
        assert (found["state"], found["attempts"][-1]["pid"], found["attempts"][-1]["account"]) == (
            "RUNNING",
            pid,
            "ada",
        )
        assert cluster.keeper_pid() == keeper
        assert cluster.cli("kill", job).returncode == 0
        cluster.wait_for(job, "KILLED")
        left = [p for p in Path("/proc").iterdir() if p.name.isdigit() and _owner(p) == UIDS["ada"]]
        assert not left, left
        wait_until(lambda: not (cluster.work / job).exists(), within=40, what="the folder is removed")
        wait_until(lambda: not list(cluster.work.glob(".removed*")), what="nothing of it is left")


def _owner(path: Path) -> int:
    try:
        return path.stat().st_uid
    except OSError:
        return -1
