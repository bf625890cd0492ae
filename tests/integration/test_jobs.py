"""What jobs see and leave on a worker: files, environment, output, signals, descendants, directories."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("jobs"), cores=4) as running:
        yield running


def run(cluster: Cluster, *words: str, code: int = 0) -> str:
    done = cluster.cli("submit", "--wait", *words)
    assert done.returncode == code, done
    return str(done.stdout)


def test_program_sees_its_arguments_and_environment(shared: Cluster) -> None:
    out = run(shared, "--env", "MODE=fast", "/bin/sh", "-c", 'echo "$1|$MODE|$MASTER|$STOKER_ATTEMPT|$PWD"', "x", "a b")
    first, mode, master, attempt, folder = out.strip().split("|")
    assert (first, mode, master, attempt) == ("a b", "fast", shared.url, "1")
    assert re.fullmatch(r"driver-\d{14}-\d{4}", Path(folder).name)
    assert Path(folder).parent == shared.work


def test_python_script_with_files_and_modules(shared: Cluster) -> None:
    data = shared.script("data.txt", "forty-two")
    module = shared.script("helper.py", "def answer(text):\n    return text.upper()\n")
    main = shared.script(
        "main.py", "import sys, helper\nprint(helper.answer(open('data.txt').read()), *sys.argv[1:])\n", 0o644
    )
    out = run(shared, "--files", data, "--py-files", module, main, "one", "two")
    assert out == "FORTY-TWO one two\n"


def test_exit_codes_and_signals(shared: Cluster) -> None:
    run(shared, "/bin/sh", "-c", "exit 3", code=3)
    run(shared, "/bin/sh", "-c", "kill -SEGV $$", code=128 + signal.SIGSEGV)


@pytest.mark.parametrize("interpreter", ["/bin/sh", "/bin/sh ", "/usr/bin/env python3"])
def test_windows_line_ends_are_named(shared: Cluster, interpreter: str) -> None:
    done = shared.cli("submit", "--wait", shared.script("windows.sh", f"#!{interpreter}\r\necho x\r\n"))
    assert done.returncode != 0
    assert "first line of windows.sh ends with CR LF" in done.stderr, done


def test_a_missing_interpreter_is_named(shared: Cluster) -> None:
    done = shared.cli("submit", "--wait", shared.script("job.sh", "#!/no/such/shell\necho x\n"))
    assert done.returncode == 127 and "job.sh needs /no/such/shell" in done.stderr, done


def test_stderr_is_apart_and_on_disk(shared: Cluster) -> None:
    done = shared.cli("submit", "--wait", "/bin/sh", "-c", "echo out; echo err >&2")
    assert (done.returncode, done.stdout) == (0, "out\n")
    assert "err\n" in done.stderr
    job = re.search(r"driver-\d{14}-\d{4}", done.stderr)
    assert job is not None
    folder = shared.work / job[0]
    assert (folder / "stdout").read_text() == "out\n"
    text = (folder / "stderr").read_text()
    assert text.startswith('Launch Command: "') and "=" * 40 in text and text.endswith("err\n")


def test_kill_reaches_the_whole_process_group_and_daemonised_descendants(shared: Cluster) -> None:
    job = shared.submit("/bin/sh", "-c", "sleep 777 & setsid sleep 778 & (setsid sleep 779 &) ; echo up; wait")
    wait_until(lambda: shared.cli("logs", job).stdout == "up\n")

    def sleepers() -> list[str]:
        return [words for words in shared.processes().values() if re.search(r"sleep 77[789]", words)]

    assert len(sleepers()) >= 3
    assert shared.cli("kill", job).returncode == 0
    wait_until(lambda: not sleepers(), what="nothing of the driver is left")


def test_descendants_of_a_driver_that_ends_by_itself_are_ended(shared: Cluster) -> None:
    run(shared, "/bin/sh", "-c", "setsid sleep 877 & sleep 878 & exit 0")
    wait_until(lambda: not any("sleep 87" in words for words in shared.processes().values()), what="no orphan")


def test_program_that_ignores_term_is_killed(tmp_path: Path) -> None:
    with Cluster(tmp_path, properties={"spark.worker.driverTerminateTimeout": "1s"}) as cluster:
        job = cluster.submit("/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")
        wait_until(lambda: cluster.cli("logs", job).stdout == "up\n")
        assert cluster.cli("kill", job).returncode == 0
        found = cluster.wait_for(job, "KILLED")
        assert found["attempts"][0]["exit"]["signal"] == signal.SIGKILL


def test_supervised_driver_is_restarted_and_listed(shared: Cluster) -> None:
    job = shared.submit("--supervise", "/bin/sh", "-c", "echo attempt $STOKER_ATTEMPT; exit $STOKER_ATTEMPT")
    wait_until(lambda: len(shared.status(job)["attempts"]) >= 2, within=20)
    assert shared.cli("kill", job).returncode == 0
    found = shared.wait_for(job, "KILLED")
    assert [attempt["exit"].get("code") for attempt in found["attempts"][:1]] == [1]
    assert "attempt 1\n" in shared.cli("logs", job).stdout


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (("no-such-program-anywhere",), 127, "no such program"),
        (("/etc/passwd",), 126, "not executable"),
        (("sh", "-c", "exit 9"), 9, "code 9"),
    ],
)
def test_executors_that_cannot_run(shared: Cluster, command: tuple[str, ...], code: int, says: str) -> None:
    done = shared.cli("run", "--total-executor-cores", "1", "--", *command)
    assert done.returncode == code and says in done.stderr, done


def test_executor_substitutions_and_directories(shared: Cluster) -> None:
    script = 'echo "$@|$X|$(basename "$(dirname "$PWD")")|$(ls -ld "$SPARK_EXECUTOR_DIRS" | cut -c1-10)"'
    words = ["sh", "-c", script, "sh", "{{EXECUTOR_ID}}", "{{CORES}}", "{{HOSTNAME}}", "{{APP_ID}}"]
    done = shared.cli("run", "--total-executor-cores", "2", "--env", "X=<{{CORES}}>", "--", *words)
    assert done.returncode == 0, done
    args, x, folder, mode = done.stdout.strip().split("|")
    app_id = args.split()[3]
    assert (args, x, folder, mode) == (f"0 2 127.0.0.1 {app_id}", "<2>", app_id, "drwx------")
    wait_until(lambda: not list((shared.state / "local").glob(f"*{app_id}*")), what="local directories are removed")


def test_files_by_url(shared: Cluster, tmp_path: Path) -> None:
    (tmp_path / "served.sh").write_text("#!/bin/sh\ncat beside.txt\n")
    (tmp_path / "beside.txt").write_text("beside\n")
    handler = lambda *words: http.server.SimpleHTTPRequestHandler(*words, directory=str(tmp_path))  # noqa: E731
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/served.sh"
        assert run(shared, "--files", f"file:{tmp_path}/beside.txt", url) == "beside\n"
        done = shared.cli("submit", "--wait", url.replace("served", "missing"))
        assert done.returncode != 0 and "missing.sh: 404" in done.stderr and "Traceback" not in done.stderr
        server.shutdown()
    done = shared.cli("submit", "--wait", "file:/nonexistent/program")
    assert done.returncode != 0 and "/nonexistent/program on this worker: No such file" in done.stderr


def test_jar_with_arguments(shared: Cluster, tmp_path: Path) -> None:
    import shutil
    import subprocess

    if shutil.which("javac") is None:
        pytest.skip("needs a JDK: sudo apt-get install default-jdk-headless")
    (tmp_path / "Main.java").write_text(
        "public class Main { public static void main(String[] a) {"
        ' System.out.println(a[0] + System.getProperty("spark.x")); System.exit(5); } }'
    )
    subprocess.run(["javac", "-d", str(tmp_path), str(tmp_path / "Main.java")], check=True, timeout=120)
    subprocess.run(["jar", "cf", "main.jar", "Main.class"], check=True, timeout=120, cwd=tmp_path)
    words = ["--class", "Main", "--conf", "spark.x=7", str(tmp_path / "main.jar"), "arg"]
    assert run(shared, *words, code=5) == "arg7\n"


def test_job_that_turns_its_output_into_a_pipe_does_not_stop_the_worker(shared: Cluster) -> None:
    job = shared.submit("/bin/sh", "-c", "rm stdout; mkfifo stdout; echo ready >&2; sleep 600")
    wait_until(lambda: "ready" in shared.cli("logs", "--stderr", job).stdout)
    done = shared.cli("logs", job, timeout=20)
    assert done.returncode == 1 and "not a file" in done.stderr, done
    assert run(shared, "/bin/echo", "alive") == "alive\n"
    assert shared.cli("kill", job).returncode == 0


def test_one_upload_serves_many_drivers(shared: Cluster) -> None:
    script = shared.script("once.sh", "#!/bin/sh\necho $1\n")
    jobs = [shared.submit(script, str(number)) for number in range(5)]
    for number, job in enumerate(jobs):
        shared.wait_for(job, "FINISHED")
        assert shared.cli("logs", job).stdout == f"{number}\n"
    inodes = {(shared.work / job / "once.sh").stat().st_ino for job in jobs}
    assert len(inodes) == len(jobs), "a job cannot change the file of another one"


def test_rolling_executor_logs(tmp_path: Path) -> None:
    properties = {
        "spark.executor.logs.rolling.strategy": "size",
        "spark.executor.logs.rolling.maxSize": "20000",
        "spark.executor.logs.rolling.maxRetainedFiles": "3",
        "spark.executor.logs.rolling.enableCompression": "true",
    }
    with Cluster(tmp_path, properties=properties) as cluster:
        code = "for i in $(seq 1 30); do head -c 5000 /dev/zero | tr '\\0' x; echo; sleep 0.02; done"
        done = cluster.cli("run", "--total-executor-cores", "1", "--", "sh", "-c", code)
        assert done.returncode == 0
        folder = next(cluster.work.glob("app-*/0"))
        wait_until(lambda: len(list(folder.glob("stdout--*.gz"))) == len(list(folder.glob("stdout--*"))) == 3)
        assert (folder / "stdout").stat().st_size < 40000


def test_old_work_directories_are_removed(tmp_path: Path) -> None:
    properties = {
        "spark.worker.cleanup.enabled": "true",
        "spark.worker.cleanup.interval": "500ms",
        "spark.worker.cleanup.appDataTtl": "1s",
    }
    with Cluster(tmp_path, properties=properties) as cluster:
        running = cluster.submit("/bin/sleep", "1000")
        cluster.wait_for(running, "RUNNING")
        old = cluster.submit("/bin/true")
        cluster.wait_for(old, "FINISHED")
        (cluster.work / "mine").mkdir()
        for name in (running, "mine"):
            for path in (cluster.work / name).rglob("*"):
                os.utime(path, (1, 1), follow_symlinks=False)
            os.utime(cluster.work / name, (1, 1))
        wait_until(lambda: not (cluster.work / old).exists(), what="the old directory is removed")
        assert (cluster.work / running).exists() and (cluster.work / "mine").exists()


def test_several_workers_share_a_host_and_work_directory(tmp_path: Path) -> None:
    with Cluster(tmp_path, workers=3, cores=1) as cluster:
        done = cluster.cli("run", "--", "sh", "-c", "echo $PPID")
        assert done.returncode == 0
        assert len(set(done.stdout.split())) == 3, "three keepers"


def test_json_of_both_daemons(shared: Cluster) -> None:
    import urllib.request

    def get(url: str) -> dict[str, object]:
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: dict[str, object] = json.load(answer)
        return found

    master = get(f"http://127.0.0.1:{shared.webui_port}/json/")
    assert (master["status"], master["aliveworkers"], master["url"]) == ("ALIVE", 1, shared.url)
    workers = master["workers"]
    assert isinstance(workers, list)
    worker = get(workers[0]["webuiaddress"] + "/json/")
    assert (worker["id"], worker["masterurl"]) == (workers[0]["id"], shared.url)
