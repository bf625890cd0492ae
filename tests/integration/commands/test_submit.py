"""submit and launch on a real cluster, by command and from Python: real daemons, real programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.client.api import Client
from stoker.config.client import ClientConfig
from stoker.core.model.states import DriverState
from stoker.core.model.views import DriverView
from stoker.errors import NotFound
from tests.integration.commands.counting import COUNT, lines
from tests.support.cluster import Cluster, free_port
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster


@pytest.fixture
def client(shared: Cluster) -> Iterator[Client]:
    address = shared.url.removeprefix("spark://")
    config = ClientConfig(masters=(address,), keys_dir=shared.home / "conf" / "keys", authenticate=True)
    with Client(config=config) as client:
        yield client


# --- submit ----------------------------------------------------------------------------------------------------------


def test_the_id_alone_is_printed_and_the_program_runs(shared: Cluster) -> None:
    app = shared.script("env.py", "import os, sys\nprint(sys.argv[1:], os.environ['MODE'], os.environ['SPARK_MINE'])\n")
    done = shared.cli("submit", "--env", "MODE=fast", app, "--env", "a b", "--", env={"SPARK_MINE": "x"})
    assert (done.returncode, done.stderr) == (0, "")
    driver = done.stdout.strip()
    shared.wait_for(driver, "FINISHED")
    assert shared.cli("logs", driver).stdout == "['--env', 'a b', '--'] fast x\n"


def test_wait_streams_both_outputs_and_returns_the_exit_code(shared: Cluster) -> None:
    app = shared.script("both.py", "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)\n")
    done = shared.cli("submit", "--wait", app)
    assert done.returncode == 3
    assert done.stdout == "out\n"
    first, *own, last = done.stderr.splitlines()
    assert first.startswith("stoker: submitted driver-")
    assert own == ["err"], "the program's stderr, without the worker's header"
    assert last.endswith("is FAILED: Command exited with code 3")


@pytest.mark.parametrize("command", ["submit", "launch"])
def test_the_property_that_asks_to_wait(shared: Cluster, tmp_path: Path, command: str) -> None:
    app = shared.script("fails.py", "import sys; print('said'); sys.exit(7)")
    (tmp_path / "spark-defaults.conf").write_text("spark.standalone.submit.waitAppCompletion true\n")
    keys = Path(shared.environ["SPARK_CONF_DIR"]) / "keys"
    words = [app] if command == "submit" else [shared.url, f"file://{app}", "-"]
    done = shared.cli(command, *words, env={"SPARK_CONF_DIR": str(tmp_path), "STOKER_KEYS_DIR": str(keys)})
    assert (done.returncode, done.stdout) == (7, "said\n")


def test_wait_returns_128_plus_the_signal(shared: Cluster) -> None:
    app = shared.script("die.sh", "#!/bin/sh\nkill -9 $$\n")
    assert shared.cli("submit", "--wait", app).returncode == 137


def test_every_attempt_of_a_supervised_driver_is_streamed(shared: Cluster) -> None:
    text = (
        "import os, sys\nn = int(os.environ['STOKER_ATTEMPT'])\nprint('attempt', n)\n"
        "print('error', n, file=sys.stderr)\nsys.exit(n < 2)\n"
    )
    done = shared.cli("submit", "--wait", "--supervise", shared.script("again.py", text))
    assert done.returncode == 0
    assert done.stdout == "attempt 1\nattempt 2\n"
    assert done.stderr.splitlines()[1:] == ["error 1", "error 2"]


def test_all_kinds_of_programs(shared: Cluster) -> None:
    archive, wheel = shared.home / "app.pyz", shared.home / "app-1.0-py3-none-any.whl"
    for path in (archive, wheel):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("__main__.py", "import sys; print('main', sys.argv[1:])\n")
            file.writestr("entry.py", "import sys\ndef go():\n    print('go', sys.argv[1:])\n")
    (shared.home / "extra.py").write_text("VALUE = 42\n")
    uses = shared.script("uses.py", "import extra\nprint(extra.VALUE, open('data.txt').read())\n")
    (shared.home / "data.txt").write_text("data")
    for words, printed in (
        ([str(archive), "x"], "main ['x']\n"),
        (["--class", "entry:go", str(archive), "x"], "go ['x']\n"),
        (["--class", "entry:go", str(wheel), "x"], "go ['x']\n"),
        (["/bin/echo", "x", "--y"], "x --y\n"),
        (["local:/bin/echo", "x"], "x\n"),
        (["file:///bin/echo", "x"], "x\n"),
        (["--files", "data.txt", "--py-files", "extra.py", uses], "42 data\n"),
    ):
        done = shared.cli("submit", "--wait", *words)
        assert (done.returncode, done.stdout) == (0, printed), (words, done.stderr)


def test_client_mode_runs_it_here(shared: Cluster) -> None:
    text = "import os, sys, lib\nprint(os.getcwd(), sys.argv[1:], os.environ['MASTER'], lib.X)\nsys.exit(5)\n"
    (shared.home / "lib.py").write_text("X = 1\n")
    done = shared.cli("submit", "--deploy-mode", "client", "--py-files", "lib.py", shared.script("here.py", text), "-x")
    assert done.returncode == 5, done.stderr
    assert done.stdout == f"{shared.home} ['-x'] {shared.url} 1\n"


def test_client_mode_passes_signals_on(shared: Cluster) -> None:
    app = shared.script(
        "trap.sh", "#!/bin/sh\ntrap 'echo trapped; exit 9' TERM\necho up\nwhile :; do sleep 0.05; done\n"
    )
    process = shared.start_cli("submit", "--deploy-mode", "client", app)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (9, "trapped\n")


def test_an_upload_over_the_limit(shared: Cluster) -> None:
    big = shared.home / "big.bin"
    big.write_bytes(os.urandom(4 << 20))
    done = shared.cli("submit", "--files", str(big), "/bin/true")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"stoker: {big}: the file has {4 << 20} bytes; the limit is {3 << 20}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere.py"], 2, "cannot read 'nowhere.py'"),
        (["true"], 2, "give its path:"),
        (["--driver-memory", "12q", "/bin/true"], 2, "--driver-memory: '12q'"),
        (["--driver-cores", "x", "/bin/true"], 2, "--driver-cores: 'x'"),
        (["--total-executor-cores", "0", "/bin/true"], 2, "--total-executor-cores: '0'"),
        (["--conf", "x", "/bin/true"], 2, "--conf 'x'"),
        (["--env", "x", "/bin/true"], 2, "--env x: 'x' is not set here"),
        (["--master", "http://h", "/bin/true"], 2, "is not a master URL"),
        (["--timeout", "soon", "/bin/true"], 2, "is not a duration"),
        (["--kill-on-interrupt", "/bin/true"], 2, "needs --wait"),
        (["--properties-file", "none", "/bin/true"], 2, "none"),
        ([], 2, "nothing to submit"),
        (["--status", "driver-20260101000000-9999"], 1, "There is no driver"),
        (["--kill", "driver-20260101000000-9999"], 1, "there is no driver"),
        (["--nonsense", "/bin/true"], 2, "--nonsense"),
    ],
)
def test_what_is_wrong_is_one_line(shared: Cluster, words: list[str], code: int, says: str) -> None:
    done = shared.cli("submit", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_master_is_named(shared: Cluster) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = shared.cli("status", "--master", f"spark://{address}", "--timeout", "0.5s")
    assert done.returncode == 1
    assert address in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_key_is_said_to_be_so(shared: Cluster, tmp_path: Path) -> None:
    from stoker.core.model.states import Role
    from stoker.security.keys import Keys

    stranger = Keys.open(tmp_path / "keys", create=(Role.CLIENT,))
    stranger.known_masters.write_bytes((shared.home / "conf" / "keys" / "known_masters").read_bytes())
    done = shared.cli("status", env={"STOKER_KEYS_DIR": str(tmp_path / "keys")})
    assert done.returncode == 1
    assert "does not admit our key" in done.stderr
    assert done.stderr.count("\n") == 1


# --- launch ----------------------------------------------------------------------------------------------------------


def test_launch_in_the_old_words(shared: Cluster) -> None:
    app = shared.script("old.py", "import os, sys\nprint(sys.argv[1:], os.environ['X'])\n")
    done = shared.cli(
        "launch", "--memory", "64", "--cores", "2", "--supervise", "--env", "X=y", shared.url, app, "-", "a", "--b"
    )
    assert done.returncode == 0, done.stderr
    found = shared.wait_for(done.stdout.strip(), "FINISHED")
    assert (found["cores"], found["memory_mib"], found["supervise"]) == (2, 64, True)
    assert shared.cli("logs", found["id"]).stdout == "['a', '--b'] y\n"
    wrong = shared.cli("launch", shared.url, app)
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1


# --- interrupted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [False, True])
def test_interrupting_wait(shared: Cluster, kills: bool) -> None:
    app = shared.script("up.py", "import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    process = shared.start_cli("submit", "--wait", *(["--kill-on-interrupt"] if kills else []), app)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    driver = err.split()[2]
    if kills:
        shared.wait_for(driver, "KILLED")
    else:
        assert f"'stoker logs -f {driver}' follows it" in err
        assert shared.status(driver)["state"] == "RUNNING"
        assert shared.cli("kill", driver).returncode == 0


def test_a_reader_that_goes_away_is_no_error_of_ours(shared: Cluster) -> None:
    driver = shared.submit(shared.script("much.py", "for i in range(200000): print(i)\n"))
    shared.wait_for(driver, "FINISHED")
    words = [sys.executable, "-m", "stoker", "logs", driver]
    environ = {**shared.environ, "MASTER": shared.url}
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""


def ids(shared: Cluster) -> set[str]:
    status = json.loads(shared.cli("status", "--json").stdout)
    return {driver["id"] for group in ("active_drivers", "completed_drivers") for driver in status[group]}


@pytest.mark.parametrize(
    ("typed", "submits"),
    [
        ("$STOKER submit /bin/true >&-", False),  # nobody would receive the id, so that a retry would make a duplicate
        ("$STOKER submit /bin/true >&- 2>&-", False),
        ("$STOKER submit /bin/true >/dev/full", False),
        ("$STOKER submit /bin/true 2>&-", True),
        ("$STOKER submit /bin/true <&-", True),
        ("$STOKER submit /bin/true | head -n 1", True),
        ("TMPDIR=/nowhere $STOKER submit /bin/true", True),
        ("LC_ALL=C LANG=C $STOKER submit --name Zoë /bin/true", True),
        ("mkdir gone; cd gone; rmdir ../gone; $STOKER submit /bin/true", True),
        ("setsid --wait $STOKER submit /bin/true </dev/null", True),  # no terminal at all
    ],
)
def test_submit_in_odd_surroundings_does_it_and_says_so_or_does_nothing(
    shared: Cluster, tmp_path: Path, typed: str, submits: bool
) -> None:
    before = ids(shared)
    environ = {**shared.environ, "MASTER": shared.url, "STOKER": f"{sys.executable} -m stoker"}
    done = subprocess.run(
        ["/bin/sh", "-c", typed], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    made = ids(shared) - before
    assert made == set(done.stdout.split()) and len(made) == int(submits), done
    if submits:
        assert (done.returncode, done.stderr) == (0, ""), done
    else:
        assert done.returncode == 1 and len(done.stderr.splitlines()) <= 1 and "Traceback" not in done.stderr, done


# --- the API ---------------------------------------------------------------------------------------------------------


def test_the_api_submits_follows_and_waits(client: Client, shared: Cluster) -> None:
    app = shared.script("api.py", COUNT)
    driver = client.submit(app, "3", name="counted")
    assert b"".join(client.follow(driver)).decode() == lines(3)
    view = client.wait(driver)
    assert (view.state, view.name, view.attempts[-1].exit.code) == (DriverState.FAILED, "counted", 7)
    assert client.read_log(driver, offset=-2) == b"2\n"
    with pytest.raises(NotFound):
        client.kill(driver)
    with pytest.raises(NotFound):
        client.status("app-20260101000000-9999")
    status = client.status(driver)
    assert isinstance(status, DriverView)


def test_many_submissions(client: Client) -> None:
    driver = client.describe("local:/bin/true", memory=1)
    started = time.monotonic()
    ids = client.submit_many([driver] * 150)
    assert len(set(ids)) == 150
    assert time.monotonic() - started < 5
    for driver_id in ids:
        assert client.wait(driver_id, timeout=30).state is DriverState.FINISHED


def test_a_time_out_while_waiting(client: Client, shared: Cluster) -> None:
    driver = client.submit_watched(client.describe("local:/bin/sleep", "60"))
    with pytest.raises(TimeoutError, match=driver.id):
        client.wait(driver, timeout=0.2)
    client.kill(driver.id)
    assert client.wait(driver, timeout=20).state is DriverState.KILLED


# --- while daemons come and go ---------------------------------------------------------------------------------------


def test_wait_outlives_master_and_worker(cluster: Cluster) -> None:
    app = cluster.script("count.py", COUNT)
    process = cluster.start_cli("submit", "--wait", app, "50")
    out = cluster.home / "work"
    stdout = wait_until(lambda: next(iter(out.glob("driver-*/stdout")), None), what="its output")

    def has(count: int) -> None:
        wait_until(lambda: len(stdout.read_text().splitlines()) >= count, what=f"{count} lines")

    has(3)
    cluster.master.kill()
    has(6)
    cluster.master.start()
    has(20)
    cluster.worker[0].kill(signal.SIGTERM)
    has(24)
    cluster.worker[0].start()
    printed, err = process.communicate(timeout=60)
    assert process.returncode == 7, err
    assert printed == lines(50), err
