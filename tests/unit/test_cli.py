"""The command line as a user meets it: help, mistakes, exit codes; never a traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
import yaml

from stoker.cli import main
from stoker.cli.commands import COMMANDS

RUN = [sys.executable, "-m", "stoker"]


def stoker(*words: str, home: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environ = {**kept, "HOME": str(home), "SPARK_CONF_DIR": str(home), **(env or {})}
    return subprocess.run(
        [*RUN, *words], env=environ, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )


def one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("stoker: "), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_help_and_version(tmp_path: Path) -> None:
    done = stoker("--help", home=tmp_path)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert stoker("--version", home=tmp_path).stdout.startswith("stoker 0.")
    assert stoker(home=tmp_path).returncode == 2


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    done = stoker(command, "--help", home=tmp_path)
    assert done.returncode == 0 and f"stoker {command}" in done.stdout


def test_mistakes_are_returned_not_raised(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker"]) == 2
    assert main(["worker", "--help"]) == 0
    assert "MASTER" in capsys.readouterr().out


def test_a_reader_that_has_gone_is_no_news(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = run_writing_to(pipe, tmp_path)
    assert (done.returncode, done.stderr) == (1, "")


def test_output_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run_writing_to(full, tmp_path)
    assert done.returncode == 1 and done.stderr == "stoker: cannot write the output: No space left on device\n"


def run_writing_to(output: IO[str], home: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    words = [*RUN, "--help"]
    return subprocess.run(words, env=environ, stdout=output, stderr=subprocess.PIPE, text=True, timeout=60, check=False)


def test_unknown_command_names_the_nearest(tmp_path: Path) -> None:
    assert "did you mean submit?" in one_line(stoker("sumbit", home=tmp_path), 2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("master", "--port", "x"), "--port: 'x'"),
        (("master", "--port", "70000"), "from 0 to 65535"),
        (("master", "--nonsense"), "--nonsense"),
        (("master", "-h", "no such host"), "not a host name"),
        (("worker",), "MASTER"),
        (("worker", "localhost:7077"), "spark://host:7077"),
        (("worker", "-c", "none", "spark://localhost"), "--cores: 'none'"),
        (("worker", "-m", "12q", "spark://localhost"), "512m or 2g"),
        (("status",), "no master is known"),
        (("status", "--master", "spark//x"), "spark://host:7077"),
        (("kill",), "ID"),
        (("config", "check", "/nonexistent/spark-env"), "No such file"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    assert says in one_line(stoker(*words, home=tmp_path), 1 if words[0] == "config" else 2)


def test_host_of_another_machine(tmp_path: Path) -> None:
    line = stoker("master", "-h", "192.0.2.1", "--webui-port", "0", home=tmp_path)
    assert line.returncode in (1, 2) and "192.0.2.1" in line.stderr and "Traceback" not in line.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("", "needs spark.deploy.zookeeper.url"),
        ("-Dspark.deploy.zookeeper.url=z:many", "write it like zk1:2181,zk2:2181"),
        ("-Dspark.deploy.zookeeper.url=z -Dspark.stoker.zookeeper.authFile=/nowhere", "cannot read /nowhere"),
        ("-Dspark.deploy.zookeeper.url=z -Dspark.stoker.zookeeper.sessionTimeout=0", "more than 0 seconds"),
    ],
)
def test_zookeeper_settings_that_cannot_be(tmp_path: Path, options: str, problem: str) -> None:
    env = {"SPARK_DAEMON_JAVA_OPTS": f"-Dspark.deploy.recoveryMode=ZOOKEEPER {options}"}
    done = stoker("master", "-h", "127.0.0.1", "-p", "0", "--webui-port", "0", home=tmp_path, env=env)
    assert done.returncode == 2 and problem in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("spark-env", "SPARK_WORKER_CORES=2\n", ""),
        ("spark-env", "SPARK_WORKER_CORES=many\n", "SPARK_WORKER_CORES"),
        ("spark-env", "export X=$(id)\n", ":1: X: the value runs a command"),
        ("spark-env", "SPARK_WORKER_OPTS='-Dspark.worker.cleanup.interval=0'\n", "more than 0 seconds"),
        ("spark-env", "SPARK_WORKER_INSTANCES=0\n", "SPARK_WORKER_INSTANCES"),
        ("spark-defaults.conf", "spark.worker.timeout 30s\nspark.sql.x 1\n", ""),
        ("spark-defaults.conf", "spark.worker.timeout soon\n", "spark.worker.timeout"),
        ("spark-defaults.conf", "spark.ssl.enabled true\n", "needs spark.ssl.standalone.certChain"),
    ],
)
def test_config_check(tmp_path: Path, name: str, text: str, problem: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    done = stoker("config", "check", str(path), home=tmp_path)
    assert (done.returncode, bool(done.stderr)) == ((1, True) if problem else (0, False)), done
    assert problem in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("spark-env", "SPARK_WORKER_CORE=2\n", "did you mean SPARK_WORKER_CORES?"),
        ("spark-defaults.conf", "spark.worker.timeot 30\n", "did you mean spark.worker.timeout?"),
        ("spark-defaults.conf", "spark.executer.memory 1g\n", "did you mean spark.executor.memory?"),
    ],
)
def test_config_check_warns_of_a_misspelt_name_as_daemons_do(tmp_path: Path, name: str, text: str, hint: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    for options, code in (((), 0), (("--strict",), 1)):
        done = stoker("config", "check", *options, str(path), home=tmp_path)
        assert done.returncode == code and done.stderr.startswith("stoker: warning: ") and hint in done.stderr


SPARK_ENV_OF_SPARK = (
    "SPARK_EXECUTOR_CORES SPARK_EXECUTOR_MEMORY SPARK_DRIVER_MEMORY SPARK_HISTORY_OPTS SPARK_SHUFFLE_OPTS "
    "SPARK_LAUNCHER_OPTS SPARK_SUBMIT_OPTS "
    "SPARK_DIST_CLASSPATH SPARK_CLASSPATH SPARK_PRINT_LAUNCH_COMMAND SPARK_SLAVES SPARK_SCALA_VERSION "
    "SPARK_CONNECT_SERVER_OPTS SPARK_EXECUTOR_INSTANCES SPARK_YARN_QUEUE SPARK_BEELINE_OPTS SPARK_USER SPARK_REPL_OPTS "
    "SPARK_DAEMON_CLASSPATH SPARK_IDENT_STRING SPARK_ENV_LOADED SPARK_SUBMIT_LIBRARY_PATH SPARK_EXECUTOR_DIRS SPARK_JARS_DIR"
)


def test_config_check_accepts_every_name_of_spark_s(tmp_path: Path) -> None:
    path = tmp_path / "spark-env"
    path.write_text("".join(f"{name}=1g\n" for name in SPARK_ENV_OF_SPARK.split()))
    done = stoker("config", "check", "--strict", str(path), home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_config_import_runs_a_spark_env_once(tmp_path: Path) -> None:
    path = tmp_path / "spark-env.sh"
    path.write_text(
        'echo noise\nh=$(echo host)\nif true; then export SPARK_MASTER_HOST="$h.x"; fi\nSPARK_LOCAL_DIRS="a b"\n'
    )
    done = stoker("config", "import", str(path), home=tmp_path)
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        ["SPARK_LOCAL_DIRS='a b'", "SPARK_MASTER_HOST=host.x", "h=host"],
    )
    assert "those of this machine" in done.stderr
    done = stoker("config", "import", "--format", "yaml", str(path), home=tmp_path)
    assert yaml.safe_load(done.stdout) == {
        "spark_env": {"h": "host", "SPARK_MASTER_HOST": "host.x", "SPARK_LOCAL_DIRS": "a b"}
    }


def test_config_import_writes_any_character_as_yaml_has_it(tmp_path: Path) -> None:
    value = "\x85 \u2028 \x7f \x9f \x1b \x0b \ufeff \U0001f600 \\ \" 'ü"
    path = tmp_path / "spark-env.sh"
    path.write_text("A=" + shlex.quote(value), encoding="utf-8")
    done = stoker("config", "import", "--format", "yaml", str(path), home=tmp_path)
    assert yaml.safe_load(done.stdout) == {"spark_env": {"A": value}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A=$(no-such-program)\n", "line 1"),
        ("exit 3\n", "exit code 3"),
        ("# nothing\n", "sets no variable"),
        ("A='x\n", "line "),
        ("A=1\nexit 0\n", "ends the shell that reads it"),
        ("A=$'\\377'\n", "the value of A is not UTF-8"),
    ],
)
def test_config_import_says_why_it_cannot(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "spark-env.sh"
    path.write_text(text)
    done = stoker("config", "import", str(path), home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr and done.stderr.count("\n") == 1


def test_config_check_does_not_guess_what_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_text("spark.worker.timeout 30s\n")
    done = stoker("config", "check", str(path), home=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"stoker: {path}: is it a spark-env or a spark-defaults? Say it with --as\n"
    assert stoker("config", "check", "--as", "spark-defaults", str(path), home=tmp_path).returncode == 0


# What each of these commands must not load, measured by tests/bench (group "commands"). Python 3.11's pathlib needs
# urllib.parse; pyzmq and msgspec need pickle, json, random and datetime.
_SLOW = {
    *("flask", "werkzeug", "waitress", "kazoo", "tabulate", "wcwidth", "tqdm", "sqlite3", "asyncio", "javaproperties"),
    *("dotenv", "urllib.request", "http.client", "email", "ssl", "hashlib", "hmac", "secrets", "shutil", "tempfile"),
    *("zipfile", "difflib", "getpass", "socket", "subprocess", "concurrent.futures", "unicodedata"),
    *(
        "dataclasses",
        "logging",
        "traceback",
        "shlex",
        "concurrent",
        "stoker.security.roles",
        "stoker.security.authorizer",
    ),
    *("stoker.config.master", "stoker.config.worker", "stoker.config.web", "stoker.io.server", "stoker.io.listening"),
    *("stoker.io.loop", "stoker.core.master", "stoker.core.worker", "stoker.core.application", "stoker.engines"),
    *("stoker.core.model.lifecycles", "stoker.core.model.records", "stoker.client.application.app"),
    *("stoker.client.submit.upload", "stoker.client.show.job", "stoker.core.model.filters"),
}
_NONE = {"argparse", "typing", "re", "logging", "pathlib", "zmq", "msgspec", "dataclasses", "inspect", "enum"}


@pytest.mark.parametrize(
    ("words", "forbidden"),
    [
        (["--help"], _SLOW | _NONE),
        (["--version"], _SLOW | _NONE),
        (["status", "--master", "spark://127.0.0.1:1", "--timeout", "100ms"], _SLOW),
        (
            ["submit", "--wait", "--master", "spark://127.0.0.1:1", "--timeout", "100ms", "/bin/true"],
            _SLOW,
        ),
    ],
    ids=["help", "version", "status", "submit"],
)
def test_a_command_loads_only_what_it_uses(tmp_path: Path, words: list[str], forbidden: set[str]) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.authenticate false\nspark.driver.cores 0\n")
    code = (
        "import sys; from stoker.cli import main; code = main(sys.argv[1:]);"
        " print(code, *sys.modules, sep='\\n', file=sys.stderr)"
    )
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SPARK_CONF_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}", *words],
        env=environ, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    loaded = set(done.stderr.split())
    assert "stoker.cli.entry" in loaded
    assert sorted(loaded & forbidden) == []
