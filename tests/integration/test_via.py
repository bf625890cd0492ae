"""--via and tunnel through a real sshd, to a real cluster whose keys and configuration this side does not have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import STOKER, Cluster
from tests.support.processes import read_line
from tests.support.sshd import Sshd
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster
BIN = Path(sys.executable).parent
NOBODY = 65534
ASK = (
    "exec 3<>/dev/tcp/127.0.0.1/$0; printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' >&3; head -n 1 <&3"
)


class Laptop:
    """A home that knows only an ssh name of the cluster."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {"HOME": str(home), "PATH": os.environ["PATH"], "STOKER_DEBUG": "1", "TMPDIR": str(home)}

    def run(self, *words: str, host: str = "cluster", stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*STOKER, "--via", host, *words],
            env=self.env,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*STOKER, *words], env=self.env, cwd=self.home, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def fails(self, *words: str, host: str = "cluster") -> tuple[int, str]:
        """Return (exit code, the only line that it prints)."""
        done = self.run(*words, host=host)
        assert done.returncode != 0 and done.stderr.count("\n") == 1, done.stderr
        return done.returncode, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Laptop, Sshd]]:
    home = tmp_path_factory.mktemp("laptop")
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        there = {**cluster.environ, "MASTER": cluster.url, "PATH": f"{BIN}:{os.environ['PATH']}"}
        with Sshd(home, there) as sshd:
            yield cluster, Laptop(home), sshd


Site = tuple[Cluster, Laptop, Sshd]


def test_a_local_program_runs_there_with_its_output_and_exit_code(site: Site) -> None:
    cluster, laptop, _ = site
    script = laptop.home / "job.py"
    script.write_text("import sys\nprint('out', open('data.bin', 'rb').read().hex())\nsys.exit(int(sys.argv[1]))\n")
    (laptop.home / "data.bin").write_bytes(bytes(range(256)) * 8192)  # 2 MiB, uploaded from here
    done = laptop.run("submit", "--wait", "--files", "data.bin", "job.py", "7")
    assert done.returncode == 7, done.stderr
    assert done.stdout == f"out {(bytes(range(256)) * 8192).hex()}\n"
    job = laptop.run("submit", "/bin/sleep", "600").stdout.strip()
    assert cluster.wait_for(job, "RUNNING")["id"] == job
    assert laptop.run("kill", job).stdout == f"killed {job}\n"
    done = laptop.run("run", "--total-executor-cores", "1", "--", "echo", "{{EXECUTOR_ID}}")
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


def test_output_comes_as_it_is_written(site: Site) -> None:
    _, laptop, _ = site
    gate = laptop.home / "gate"
    os.mkfifo(gate)
    (laptop.home / "slow.sh").write_text(f"#!/bin/sh\necho first\nread line <{gate}\necho $line\n")
    (laptop.home / "slow.sh").chmod(0o755)
    process = laptop.start("--via", "cluster", "submit", "--wait", "slow.sh")
    assert process.stdout is not None and process.stdout.readline() == "first\n"
    gate.write_text("second\n")
    assert process.stdout.readline() == "second\n"
    assert process.wait(30) == 0
    process.communicate()


def test_an_admin_there_is_one_here_and_nothing_stays(site: Site) -> None:
    cluster, laptop, _ = site
    authorized = (Path(cluster.environ["SPARK_CONF_DIR"]) / "keys" / "authorized").read_text()
    assert laptop.run("drain", "127.0.0.1").returncode == 0
    assert cluster.status()["workers"][0]["draining"] is True
    assert laptop.run("undrain", "--master", cluster.url, "127.0.0.1").returncode == 0
    assert laptop.run("kill", cluster.url, "driver-20200101000000-0000").stderr.count("there is no driver") == 1
    assert (Path(cluster.environ["SPARK_CONF_DIR"]) / "keys" / "authorized").read_text() == authorized
    assert not list(laptop.home.glob("stoker-*")) and not (laptop.home / ".config").exists()
    wait_until(lambda: not any(" relay " in line for line in cluster.processes().values()), what="no relay is left")


def test_it_goes_on_with_a_restarted_master(site: Site) -> None:
    cluster, laptop, _ = site
    (laptop.home / "long.sh").write_text("#!/bin/sh\nsleep 2\necho done\n")
    (laptop.home / "long.sh").chmod(0o755)
    process = laptop.start("--via", "cluster", "submit", "--wait", "long.sh")
    wait_until(lambda: [d for d in cluster.status()["active_drivers"] if d["state"] == "RUNNING"], what="it runs")
    cluster.master.kill()
    cluster.master.start()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "done\n"), err


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("stranger", "does not accept our ssh keys"),
        ("unknown", "the host key of unknown is not known: check it with 'ssh unknown'"),
        ("changed", "its host key is not the one in known_hosts"),
        ("nobody", "is sshd running there?"),
        ("no-such-host.invalid", "cannot find the host"),
        ("user@host:port", "is not [USER@]HOST[:PORT]"),
    ],
)
def test_no_way_in_is_one_line(site: Site, host: str, says: str) -> None:
    code, line = site[1].fails("status", host=host)
    assert code in (1, 2) and says in line
    assert "None" not in line


def test_mistakes_are_one_line(site: Site) -> None:
    _, laptop, _ = site
    assert "--via is for commands that ask a cluster" in laptop.fails("worker")[1]
    assert "there is no command 'statsu'" in laptop.fails("statsu")[1]
    assert (
        "cannot connect to 127.0.0.1:1"
        in laptop.fails("status", "--timeout", "1s", "--master", "spark://127.0.0.1:1")[1]
    )


def test_no_stoker_there_and_no_forwarding_there(site: Site, tmp_path: Path) -> None:
    cluster, _, _ = site
    there = {**cluster.environ, "MASTER": cluster.url}
    for number, (environ, options, says) in enumerate(
        (
            ({**there, "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}, (), "there is no stoker on cluster"),
            ({**there, "PATH": f"{BIN}:/usr/bin:/bin"}, ("AllowTcpForwarding no",), "AllowTcpForwarding"),
            (
                {"PATH": f"{BIN}:/usr/bin:/bin", "SPARK_CONF_DIR": "/nonexistent"},
                (),
                "cluster says: no master is known",
            ),
        )
    ):
        home = tmp_path / str(number)
        home.mkdir()
        with Sshd(home, environ, options):
            assert says in Laptop(home).fails("status")[1]


def test_tunnel_leads_to_dashboard_and_master(site: Site) -> None:
    cluster, laptop, _ = site
    process = laptop.start("tunnel", "cluster")
    shown: list[str] = []
    wait_until(lambda: shown.append(read_line(process)) or "Ctrl-C" in shown[-1], what="it says where")
    dashboard = shown[0].split()[1]
    with urllib.request.urlopen(f"{dashboard}/json/", timeout=10) as answer:
        assert answer.status == 200 and cluster.url.encode() in answer.read()
    exports = dict(line.split()[1].split("=", 1) for line in shown if "export" in line)
    command = [*STOKER, "status"]
    done = subprocess.run(
        command, env={**laptop.env, **exports}, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0 and cluster.url in done.stdout, done.stderr
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    process.communicate()
    assert not Path(exports["STOKER_KEYS_DIR"]).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else for a moment")
def test_other_users_of_this_machine_do_not_get_through(site: Site) -> None:
    _, laptop, _ = site
    process = laptop.start("tunnel", "cluster")
    try:
        assert process.stdout is not None and process.stderr is not None
        port = process.stdout.readline().rstrip().rpartition(":")[2]
        words = ["bash", "-c", ASK, port]
        other = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, user=NOBODY)
        mine = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
        assert other.stdout == "" and "200" in mine.stdout
        assert f"rejected a connection of user nobody to port {port}" in process.stderr.readline()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_a_tunnel_whose_ssh_is_cut_says_so(site: Site, tmp_path: Path) -> None:
    cluster, _, _ = site
    with Sshd(tmp_path, {**cluster.environ, "MASTER": cluster.url, "PATH": f"{BIN}:/usr/bin:/bin"}) as sshd:
        process = Laptop(tmp_path).start("tunnel", "cluster")
        assert process.stdout is not None and process.stdout.readline().startswith("dashboard")
        sshd.cut()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1 and "the ssh connection to cluster is lost" in err
