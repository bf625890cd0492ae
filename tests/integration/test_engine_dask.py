"""``stoker.connect().dask()`` and ``.pool()``: real programs on a real cluster."""

from __future__ import annotations

import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.support.cluster import ME, Cluster
from tests.support.processes import read_line
from tests.support.programs import dask_executors, run_program, start_program
from tests.support.wait import wait_until

BOOTSTRAP = Path(__file__).parents[2] / "daemon" / "stoker" / "engines" / "bootstrap.py"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers of two cores, for all tests that harm neither; nothing of an application may stay after its end."""
    with Cluster(tmp_path_factory.mktemp("dask"), workers=2, cores=2, memory="6g") as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def nothing_stays(two: Cluster) -> Iterator[None]:
    yield
    wait_until(lambda: not dask_executors(two), what=lambda: f"executors end: {dask_executors(two)}")


def test_results_come_from_the_executors(two: Cluster) -> None:
    text = """
import os, stoker
with stoker.connect(name="sums", conf={"spark.cores.max": 2}) as app:
    client = app.dask()
    assert app.dask() is client
    assert client.submit(sum, [1, 2, 3]).result() == 6
    client.wait_for_workers(2)
    homes = client.run(os.getcwd)
    scratch = client.run(lambda dask_worker: dask_worker.local_directory)
    assert len(set(homes.values())) == 2 and all(app.app_id in home for home in homes.values()), homes
    assert all(app.app_id in folder for folder in scratch.values()), scratch
    print(app.app_id, *scratch.values())
"""
    app_id, *scratch = run_program(two, text).split()
    app = two.status(app_id)
    assert (app["state"], app["name"], app["cores_max"]) == ("FINISHED", "sums", 2)
    wait_until(lambda: not any(Path(folder).exists() for folder in scratch), what="scratch directories are removed")


def test_a_pool_is_one_of_concurrent_futures(two: Cluster) -> None:
    text = """
import concurrent.futures, os, time, uuid, stoker
def boom(number): raise KeyError(number)
with stoker.connect(conf={"spark.cores.max": 2}) as app, app.pool() as pool:
    assert isinstance(pool, concurrent.futures.Executor)
    assert list(pool.map(pow, range(10), [2] * 11, chunksize=3)) == [n * n for n in range(10)]
    assert list(pool.map(len, [])) == []
    assert list(pool.map(lambda f: f("ab"), [len, str.upper])) == [2, "AB"]
    assert pool.submit(dict, key=1, pure=2, workers=3).result() == {"key": 1, "pure": 2, "workers": 3}
    assert pool.submit(uuid.uuid4).result() != pool.submit(uuid.uuid4).result(), "calls are not taken for pure"
    assert pool.submit(os.getpid).result() != os.getpid()
    for ask in (lambda: pool.submit(boom, 7).result(), lambda: list(pool.map(boom, [7]))):
        try: ask()
        except KeyError as error: assert error.args == (7,)
        else: raise SystemExit("no error")
    try: list(pool.map(time.sleep, [2], timeout=0.1))
    except concurrent.futures.TimeoutError: pass
    else: raise SystemExit("no time-out")
    done, _ = concurrent.futures.wait([pool.submit(abs, -n) for n in range(5)], timeout=30)
    assert sorted(future.result() for future in done) == list(range(5))
for ask in (lambda: pool.submit(len, ""), lambda: pool.map(len, [""])):
    try: ask()
    except RuntimeError: pass
    else: raise SystemExit("it takes calls after its end")
"""
    run_program(two, text)


def test_a_module_that_executors_lack_is_the_exception_of_the_call(two: Cluster, tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("def double(number): return 2 * number\n")
    text = f"""
import sys, stoker
sys.path.insert(0, {str(tmp_path)!r})
import only_here
with stoker.connect(conf={{"spark.cores.max": 1}}) as app, app.pool() as pool:
    client = app.dask()
    assert "processes=1" in repr(client), client
    for ask in (lambda: pool.submit(only_here.double, 2).result(60), lambda: list(pool.map(only_here.double, [1]))):
        try:
            ask()
        except ModuleNotFoundError as error:
            print(error)
    assert pool.submit(lambda number: 3 * number, 2).result(60) == 6
    assert len(app.executors) == 1
"""
    assert run_program(two, text) == "No module named 'only_here'\n" * 2


def test_results_after_the_application_are_one_line(two: Cluster) -> None:
    text = """
import stoker
with stoker.connect(conf={"spark.cores.max": 1}) as app:
    pool = app.pool()
    results = pool.map(pow, range(3), [2] * 3)
for ask in (lambda: list(results), lambda: pool.submit(len, ""), lambda: pool.map(len, [""])):
    try:
        ask()
    except RuntimeError as error:
        print(error)
"""
    lines = run_program(two, text).splitlines()
    assert lines == ["the application is closed: use the pool, and read its results, inside its `with` block"] * 3


def test_map_shows_its_progress_on_a_terminal(two: Cluster) -> None:
    text = """
import stoker
with stoker.connect(conf={"spark.cores.max": 1}) as app:
    print(sum(app.pool().map(abs, range(7))))
"""
    env = {**two.environ, "MASTER": two.url, "TERM": "xterm"}
    child = pexpect.spawn(sys.executable, [two.script("bar.py", text)], env=env, timeout=30, encoding="utf-8")
    child.expect(r"0/7")
    child.expect("21")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0


def test_a_killed_executor_is_replaced_and_its_work_done(two: Cluster) -> None:
    text = """
import os, time, stoker
def work(number): time.sleep(0.1); return number
with stoker.connect(conf={"spark.cores.max": 2}) as app:
    client = app.dask()
    client.wait_for_workers(2)
    futures = client.map(work, range(30))
    os.kill(client.submit(os.getpid).result(), 9)
    assert client.gather(futures) == list(range(30))
    client.wait_for_workers(2, timeout=20)
    assert len(app.executors) == 3, app.executors
"""
    run_program(two, text)


def test_scaling_by_hand_and_by_load(two: Cluster) -> None:
    text = """
import time, stoker
def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, (app.executors, len(client.scheduler_info()["workers"]))
        time.sleep(0.02)
def alive(): return sum(executor.state.value in ("LAUNCHING", "RUNNING") for executor in app.executors)
conf = {"spark.dynamicAllocation.enabled": True, "spark.dynamicAllocation.maxExecutors": 2}
with stoker.connect(conf=conf) as app:
    client = app.dask()
    assert alive() == 0, "none before there is work"
    futures = client.map(lambda n: time.sleep(0.5), range(20), pure=False)
    until(lambda: alive() == 2)
    del futures
    until(lambda: alive() == 0)
    assert client.submit(abs, -1).result(30) == 1, "and up again"
with stoker.connect() as app:
    client = app.dask()
    until(lambda: alive() == 4)
    kept = client.scatter(list(range(8)))
    client.cluster.scale(1)
    until(lambda: alive() == 1)
    assert client.gather(kept) == list(range(8)), "data of ended workers went to others"
    client.cluster.scale(3)
    client.wait_for_workers(3, timeout=30)
"""
    run_program(two, text)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_driver(two: Cluster, number: int) -> None:
    text = """
import time, stoker
app = stoker.connect()
app.dask()
print(app.app_id, flush=True)
time.sleep(600)
"""
    with start_program(two, text) as driver:
        app_id = read_line(driver)
        assert dask_executors(two)
        driver.send_signal(number)
        driver.communicate(timeout=30)
        assert two.wait_for(app_id, "FAILED", "FINISHED", "KILLED")


def test_modules_go_to_the_executors(two: Cluster) -> None:
    """Functions of a module are sent by name: the receiver must have the module."""
    helpers = two.script("helpers.py", "def twice(n): return 2 * n\n", mode=0o644)
    archive = shutil.make_archive(str(two.home / "lib"), "zip", _package(two.home / "lib"))
    wheel = shutil.copy(archive, two.home / "package-1-py3-none-any.whl")
    text = """
import helpers, stoker
from package.part import thrice
with stoker.connect(conf={"spark.cores.max": 2}) as app:
    print(list(app.pool().map(helpers.twice, range(3))), app.pool().submit(thrice, 2).result())
"""
    for package in (archive, wheel):
        done = two.cli("submit", "--wait", "--py-files", f"{helpers},{package}", two.script("with_modules.py", text))
        assert (done.returncode, done.stdout) == (0, "[0, 2, 4] 6\n"), done.stderr


def _package(folder: Path) -> Path:
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "__init__.py").touch()
    (folder / "package" / "part.py").write_text("def thrice(n): return 3 * n\n")
    return folder


def test_the_workers_spark_env_names_the_python(two: Cluster) -> None:
    chosen = two.script("chosen-python", f'#!/bin/sh\nCHOSEN=worker exec {sys.executable} "$@"\n')
    other = two.script("other-python", f'#!/bin/sh\nCHOSEN=driver exec {sys.executable} "$@"\n')
    text = """
import os, stoker
with stoker.connect(conf={"spark.cores.max": 1}) as app: print(app.pool().submit(os.getenv, "CHOSEN").result())
"""
    with Cluster(two.home / "chosen", env={"PYSPARK_PYTHON": chosen}) as cluster:
        del cluster.environ["PYSPARK_PYTHON"]  # the submitter's; the worker has it
        assert run_program(cluster, text) == "worker\n"
        assert run_program(cluster, text, env={"PYSPARK_PYTHON": other}) == "driver\n"


def test_a_driver_of_the_cluster_needs_no_settings(two: Cluster) -> None:
    text = "import stoker\nwith stoker.connect() as app: print(app.pool().submit(sum, [2, 3]).result())\n"
    done = two.cli("submit", "--wait", "--total-executor-cores", "1", two.script("cluster_mode.py", text))
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr
    apps = two.status()["completed_apps"]
    assert any(app["name"] == "cluster_mode.py" and app["cores_max"] == 1 for app in apps), apps


def test_who_has_no_certificate_is_kept_out_and_no_key_is_on_a_command_line(two: Cluster) -> None:
    text = """
import stoker
app = stoker.connect(conf={"spark.cores.max": 1})
print(app.dask().scheduler.address, flush=True)
input()
"""
    path = two.script("listening.py", text)
    with subprocess.Popen(
        [sys.executable, path],
        env={**two.environ, "MASTER": two.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as driver:
        assert driver.stdout is not None
        found = re.fullmatch(r"tls://(127\.0\.0\.1):(\d+)", read_line(driver))
        assert found is not None
        with pytest.raises((ssl.SSLError, ConnectionError)):
            talk_tls(found[1], int(found[2]))
        shown = "".join(dask_executors(two).values())
        assert "PRIVATE KEY" not in shown and "INHERIT" not in shown
        for pid in (*dask_executors(two), driver.pid):
            assert listening_beyond_loopback(pid) == []
        driver.communicate("\n", timeout=30)


def talk_tls(host: str, port: int) -> None:
    """A client that accepts any certificate but has none. In TLS 1.3 it learns of the rejection when it reads."""
    import socket

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), timeout=10) as raw, context.wrap_socket(raw) as talk:
        if not talk.recv(1):
            raise ssl.SSLError("closed")


def listening_beyond_loopback(pid: int) -> list[str]:
    sockets = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            local, state, inode = words[1], words[3], words[9]
            if state == "0A" and f"socket:[{inode}]" in sockets and not local.startswith("0100007F"):
                found.append(local)
    return found


FAILING = """
import stoker
from stoker.errors import StokerError
try:
    with stoker.connect(conf=CONF) as app: app.dask(timeout=3)
except StokerError as error: print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"spark.cores.max": 0}, "ConfigError: spark.cores.max .* at least 1"),
        ({"spark.pyspark.python": "/no/python"}, "Refused: no host can run Dask workers: .*/no/python"),
        ({"spark.executor.memory": "900g"}, "Unreachable: app-.* has no Dask worker after 3 s"),
        ({"spark.driver.host": "192.0.2.1"}, r"Refused: Dask's scheduler cannot listen on 192.0.2.1:0 \(.*assign.*\)"),
        ({"spark.executorEnv.PYTHONHOME": "/none"}, "(Refused|Unreachable): .*exited with code 1"),
        ({"spark.submit.pyFiles": "none.py"}, "ConfigError: spark.submit.pyFiles: there is no file .*none.py"),
        ({"spark.dynamicAllocation.minExecutors": 3, "spark.dynamicAllocation.maxExecutors": 2}, "ConfigError: .*more"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(two: Cluster, conf: dict[str, object], words: str) -> None:
    out = run_program(two, FAILING.replace("CONF", repr(conf)))
    assert re.fullmatch(words + "[^\n]*", out.strip()), out


def test_an_interpreter_without_dask(two: Cluster) -> None:
    bare = two.script("bare-python", f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    out = run_program(two, FAILING.replace("CONF", repr({"spark.pyspark.python": bare})))
    assert re.search(r"no host can run Dask workers: .* cannot import distributed .*pip", out), out


def test_a_missing_extra_is_named(two: Cluster) -> None:
    out = run_program(two, "import sys\nsys.modules['distributed'] = None\n" + FAILING.replace("CONF", "{}"))
    assert out.startswith("Refused: Dask cannot be imported here") and "pip install distributed cryptography" in out, (
        out
    )


def test_versions_that_do_not_fit() -> None:
    here = ".".join(map(str, sys.version_info[:2]))
    for words, reason in [
        (["2.7", "distributed", "1", "none"], f"is Python {here}, the driver's is 2.7"),
        ([here, "msgspec", "0.0", "none"], "the driver has 0.0: install the same"),
        ([here, "no_such_package", "1", "none"], "pip install no_such_package==1 there"),
    ]:
        done = subprocess.run(
            [sys.executable, "-c", BOOTSTRAP.read_text(), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 78
        assert re.fullmatch(f"stoker: .*{reason}.*", done.stderr.strip()), done.stderr


def test_a_killed_application_is_no_endless_wait(two: Cluster) -> None:
    text = """
import time, stoker
app = stoker.connect()
pool, client = app.pool(), app.dask()
futures = [client.submit(time.sleep, 600), pool.submit(time.sleep, 601)]
print(app.app_id, flush=True)
for future in futures:
    try: future.result()
    except Exception as error: print("over", *str(error).splitlines())
try: pool.submit(len, "").result(20)
except Exception as error: print("no more")
"""
    with start_program(two, text) as driver:
        app_id = read_line(driver)
        two.cli("kill", app_id)
        out, err = driver.communicate(timeout=30)
    assert out.splitlines()[0].endswith(f"{app_id} is KILLED: killed by {ME} from the command line"), out
    assert out.splitlines()[2] == "no more"
    assert f"stoker: {app_id} is KILLED: killed by {ME} from the command line" in err


def test_one_engine_one_life(two: Cluster) -> None:
    text = """
import stoker
from stoker.errors import StokerError
app = stoker.connect(conf={"spark.cores.max": 1})
app.pool()
app.close()
app.close()
try: app.dask()
except StokerError as error: print(error)
again = stoker.connect(conf={"spark.cores.max": 1}, name="left open")
again.dask()
"""
    assert run_program(two, text) == "program.py is closed: connect() again\n"
    states = {app["name"]: app["state"] for app in two.status()["completed_apps"]}
    assert states["left open"] == "FINISHED", "a program that ends without close() has finished"
