"""Class data archives: which executors may share one, who makes it, and its files."""

from __future__ import annotations

import os
import queue
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from stoker.core.model.values import ApplicationDescription, Command, SparkProgram
from stoker.engines.spark import spark_executor
from stoker.engines.spark_archive import Runtime, maker_argv, may_share, shared
from stoker.worker.keeper.messages import CLASS_DATA_KEY, Exited, ToKeeper
from stoker.worker.spark.archives import Archives
from stoker.worker.spark.class_data import QUIET, ClassData


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """What a Spark and a Java look like from outside."""
    jars, java = tmp_path / "spark" / "jars", tmp_path / "jre"
    jars.mkdir(parents=True)
    (jars / "spark-core_2.13-4.3.0.jar").write_text("core")
    for name in ("bin/java", "lib/modules", "lib/server/libjvm.so"):
        (java / name).parent.mkdir(parents=True, exist_ok=True)
        (java / name).write_text(name)
    (java / "release").write_text('IMPLEMENTOR="Debian"\nJAVA_VERSION="17.0.15"\n')
    return Runtime(tmp_path / "spark", str(java / "bin" / "java"))


def application(**spark: Any) -> ApplicationDescription:
    env = spark.pop("env", {})
    return ApplicationDescription(
        name="n", command=Command(argv=("Backend",), env=env), spark=SparkProgram(release="4.3", **spark)
    )


# --- which ---


def test_another_jar_or_another_java_is_another_archive(runtime: Runtime) -> None:
    keys = [runtime.key(), runtime.key()]
    (runtime.home / "jars" / "more.jar").touch()
    keys.append(runtime.key())
    os.utime(runtime.home / "jars" / "more.jar", ns=(0, 0))
    keys.append(runtime.key())
    (Path(runtime.java).parents[1] / "lib" / "modules").write_text("an upgrade")
    keys.append(runtime.key())
    assert keys[0] == keys[1] and all(keys) and len(set(keys)) == 4


@pytest.mark.parametrize("release", ["", 'JAVA_VERSION="1.8.0_402"', 'JAVA_VERSION="11.0.20"'])
def test_an_old_java_has_no_archives(runtime: Runtime, release: str) -> None:
    (Path(runtime.java).parents[1] / "release").write_text(release)
    assert runtime.key() == ""


@pytest.mark.parametrize(
    ("app", "env", "may"),
    [
        (application(), {}, True),
        (
            application(java_options=("-Dspark.x=1", "-XX:+UseZGC", "--add-opens=a/b=C")),
            {"JAVA_TOOL_OPTIONS": "-Dx"},
            True,
        ),
        (application(class_path=("/extra.jar",)), {}, False),
        (application(env={"SPARK_HOME": "/home/ada/spark"}), {}, False),
        (application(env={"JAVA_HOME": "/home/ada/jre"}), {}, False),
        (application(java_options=("-XX:SharedArchiveFile=/my.jsa",)), {}, False),
        (application(java_options=("-XX:ArchiveClassesAtExit=/my.jsa",)), {}, False),
        (application(java_options=("-XX:+AutoCreateSharedArchive",)), {}, False),
        (application(java_options=("-XX:AOTCache=/my.aot",)), {}, False),
        (application(java_options=("-Xshare:off",)), {}, False),
        (application(java_options=("@options",)), {}, False),
        (application(), {"JAVA_TOOL_OPTIONS": "-Dx=1 -XX:-UseSharedSpaces"}, False),
    ],
)
def test_users_who_have_a_say_in_it_go_without(app: ApplicationDescription, env: dict[str, str], may: bool) -> None:
    assert may_share(app, env) is may


def test_an_executor_is_given_what_there_is(runtime: Runtime, tmp_path: Path) -> None:
    archive = tmp_path / "a.jsa"
    asked = []

    def archive_for(asked_for: Runtime, options: Any) -> Path:
        asked.append((asked_for, tuple(options)))
        return archive

    def words(app: ApplicationDescription) -> list[str]:
        environ = {"JAVA_HOME": str(tmp_path / "jre")}
        others: dict[str, Any] = {"homes": [runtime.home], "environ": environ, "master_url": "spark://m:1"}
        return spark_executor(app, {}, memory_mib=512, archive_for=archive_for, **others).argv

    assert words(application(java_options=("-Dx=1",)))[:3] == [runtime.java, f"-XX:SharedArchiveFile={archive}", "-cp"]
    assert words(application(java_options=("-Xshare:off",)))[:2] == [runtime.java, "-cp"]
    assert asked == [(runtime, ("-Dx=1",))]
    assert shared(Path("/a:b/c.jsa")) == [], "to a JVM these are two archives"


def test_the_maker_takes_no_option_of_a_user(runtime: Runtime, tmp_path: Path) -> None:
    argv = maker_argv(runtime, ["--add-opens=a/b=C", "-javaagent:/evil.jar", "-Dspark.x=1"], tmp_path / "made.jsa")
    assert argv[:3] == ["nice", "-n", "19"] and "--add-opens=a/b=C" in argv
    assert not {"-javaagent:/evil.jar", "-Dspark.x=1"} & set(argv)
    assert "-Dspark.authenticate=true" in argv and "-Dspark.driver.bindAddress=127.0.0.1" in argv


# --- on disk ---


def kept(archives: Archives, runtime: Runtime, worker: str = "worker-1", content: bytes = b"classes") -> Path:
    made = archives.workshop(runtime.key(), worker) / "made.jsa"
    made.write_bytes(content)
    archive = archives.keep(runtime.key(), made, runtime)
    assert archive is not None and archive.is_as_checked() and not made.parent.exists()
    return archive.path


def test_the_first_of_two_workers_counts(runtime: Runtime, tmp_path: Path) -> None:
    archives = Archives(tmp_path / "class-data")
    path = kept(archives, runtime)
    assert kept(Archives(tmp_path / "class-data"), runtime, "worker-2", b"the same classes") == path
    assert path.read_bytes() == b"classes"
    assert archives.prune() == [runtime.key()]


@pytest.mark.parametrize("name", ["archive.jsa", "about.json"])
def test_a_damaged_archive_goes(runtime: Runtime, tmp_path: Path, name: str) -> None:
    archives = Archives(tmp_path / "class-data")
    path = kept(archives, runtime)
    checked = archives.check(runtime.key())
    assert checked is not None
    file = path.parent / name
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert name != "archive.jsa" or not checked.is_as_checked()
    assert archives.check(runtime.key()) is None
    assert not path.parent.exists()


def test_archives_go_with_their_spark(runtime: Runtime, tmp_path: Path) -> None:
    archives = Archives(tmp_path / "class-data")
    assert archives.prune() == []
    upgraded = kept(archives, runtime)
    (runtime.home / "jars" / "patch.jar").touch()
    assert archives.prune() == [] and not upgraded.parent.exists()
    removed = kept(archives, runtime)
    shutil.rmtree(runtime.home)
    abandoned, recent = archives.workshop("a", "worker-1"), archives.workshop("b", "worker-1")
    os.utime(abandoned, (0, 0))
    assert archives.prune() == [] and not removed.parent.exists()
    assert not abandoned.exists() and recent.exists()


# --- by whom and when ---


class Bench:
    """``ClassData``, its orders to the keeper, and the calls that its thread hands in."""

    def __init__(self, folder: Path, *, is_on: bool = True) -> None:
        self.said: list[ToKeeper] = []
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.data = ClassData(
            folder, "worker-1", is_on=is_on, environ={}, say=self.said.append, in_loop=self._calls.put
        )  # fmt: skip

    def thread_is_done(self) -> None:
        self._calls.get(timeout=30)()

    def begin(self, runtime: Runtime) -> dict[str, Any]:
        """Ask for an archive that does not exist; return the process that the keeper then starts."""
        assert self.data.archive_for(runtime, ()) is None
        self.data.look(time.monotonic() + QUIET + 1)
        self.thread_is_done()
        assert self.said[-1]["op"] == "spawn"
        return {**self.said[-1]}

    def end(self, spawned: dict[str, Any], content: bytes = b"classes", **exit: int) -> None:
        """The process has ended, having written ``content``."""
        if content:
            (Path(spawned["cwd"]) / "made.jsa").write_bytes(content)
        self.data.on_keeper(cast("Exited", {"op": "exited", "key": spawned["key"], "kind": spawned["kind"], **exit}))


def test_it_is_made_once_when_nothing_starts(runtime: Runtime, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "class-data")
    assert bench.data.archive_for(runtime, ()) is None
    bench.data.look(time.monotonic())
    assert bench.said == [] and bench.data.next_deadline() > time.monotonic() + QUIET / 2
    spawned = bench.begin(runtime)
    assert spawned["key"] == CLASS_DATA_KEY + runtime.key() and spawned["argv"][-3].startswith("org.apache.spark.")
    assert bench.data.archive_for(runtime, ()) is None, "it is being made"
    bench.end(spawned, code=0)
    bench.thread_is_done()
    path = bench.data.archive_for(runtime, ())
    assert path is not None and path.read_bytes() == b"classes"
    bench.thread_is_done()  # others were looked through
    bench.data.look(time.monotonic() + QUIET + 1)
    assert [message["op"] for message in bench.said] == ["spawn", "forget"]


def test_the_next_daemon_finds_it_and_a_damaged_one_is_made_again(runtime: Runtime, tmp_path: Path) -> None:
    path = kept(Archives(tmp_path / "class-data"), runtime)
    bench = Bench(tmp_path / "class-data")
    assert bench.data.archive_for(runtime, ()) is None, "it is not checked yet"
    bench.thread_is_done()
    assert bench.data.archive_for(runtime, ()) == path
    path.write_bytes(b"class")
    assert bench.begin(runtime)["op"] == "spawn"
    assert not path.exists()


@pytest.mark.parametrize("exit", [{"code": 1}, {"signal": 9}, {"code": 0}])
def test_one_that_cannot_be_made_is_given_up(runtime: Runtime, tmp_path: Path, exit: dict[str, int]) -> None:
    bench = Bench(tmp_path / "class-data")
    bench.end(bench.begin(runtime), content=b"", **exit)
    if exit == {"code": 0}:  # it wrote none: found in the thread
        bench.thread_is_done()
    assert bench.data.archive_for(runtime, ()) is None
    bench.data.look(time.monotonic() + QUIET + 1)
    assert [message["op"] for message in bench.said] == ["spawn", "forget"]


def test_one_that_takes_too_long_is_ended(runtime: Runtime, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "class-data")
    bench.begin(runtime)
    bench.data.look(bench.data.next_deadline())
    assert bench.said[-1] == {"op": "stop", "key": CLASS_DATA_KEY + runtime.key(), "grace": 0}


def test_a_lost_keeper_takes_it_along(runtime: Runtime, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "class-data")
    bench.begin(runtime)
    bench.data.keeper_lost()
    assert bench.begin(runtime)["op"] == "spawn"


def test_a_worker_that_ends_leaves_nothing(runtime: Runtime, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "class-data")
    spawned = bench.begin(runtime)
    bench.data.stop()
    assert bench.said[-1]["op"] == "stop"
    bench.end(spawned, signal=9)
    assert bench.data.archive_for(runtime, ()) is None
    assert bench.data.next_deadline() == float("inf")
    bench.data.left_over(spawned["key"])
    assert [message["op"] for message in bench.said] == ["spawn", "stop", "forget", "stop", "forget"]


def test_switched_off(runtime: Runtime, tmp_path: Path) -> None:
    kept(Archives(tmp_path / "class-data"), runtime)
    bench = Bench(tmp_path / "class-data", is_on=False)
    assert bench.data.archive_for(runtime, ()) is None and bench.data.next_deadline() == float("inf")
    bench.data.look(time.monotonic() + QUIET + 1)
    assert bench.said == []
