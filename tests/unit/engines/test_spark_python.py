"""Spark's Python files, unpacked: what a view of a Spark is, and when a worker makes and removes one."""

from __future__ import annotations

import os
import queue
import random
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stoker.core.model.values import ApplicationDescription, Command, SparkProgram
from stoker.engines.spark import spark_executor
from stoker.engines.spark_python import make_view, view_key
from stoker.worker.spark.python_views import QUIET, PythonViews


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A Spark, as far as its Python is concerned."""
    home = tmp_path / "spark"
    for folder in ("jars", "conf", "python/lib", "python/docs"):
        (home / folder).mkdir(parents=True)
    (home / "jars" / "spark-core_2.13-4.3.0.jar").touch()
    (home / "python" / "lib" / "PY4J_LICENSE.txt").write_text("BSD")
    with zipfile.ZipFile(home / "python" / "lib" / "pyspark.zip", "w") as file:
        file.writestr("pyspark/__init__.py", "from pyspark.worker import name\n")
        file.writestr("pyspark/worker.py", "name = 'worker'\n")
    with zipfile.ZipFile(home / "python" / "lib" / "py4j-0.10-src.zip", "w") as file:
        file.writestr("py4j/__init__.py", "")
    return home


def test_a_view_has_all_of_its_spark_and_folders_for_zip_files(home: Path, tmp_path: Path) -> None:
    view = tmp_path / "view"
    view.mkdir()
    make_view(home, view)
    assert (view / "jars" / "spark-core_2.13-4.3.0.jar").is_file() and (view / "conf").is_symlink()
    assert (view / "python" / "docs").is_symlink()
    lib = view / "python" / "lib"
    assert (lib / "PY4J_LICENSE.txt").read_text() == "BSD" and (lib / "py4j-0.10-src.zip" / "py4j").is_dir()
    words = [sys.executable, "-c", "import pyspark; print(pyspark.name, pyspark.__file__)"]
    done = subprocess.run(
        words, env={"PYTHONPATH": str(lib / "pyspark.zip")}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["worker", str(lib / "pyspark.zip" / "pyspark" / "__init__.py")]
    assert list(lib.glob("pyspark.zip/pyspark/__pycache__/worker.*.pyc")), "what was compiled is kept"


def test_another_file_is_another_view(home: Path) -> None:
    keys = [view_key(home), view_key(home)]
    os.utime(home / "python" / "lib" / "pyspark.zip", (0, 0))
    keys.append(view_key(home))
    (home / "work").mkdir()
    keys.append(view_key(home))
    assert keys[0] == keys[1] and all(keys) and len(set(keys)) == 3
    for archive in (home / "python" / "lib").glob("*.zip"):
        archive.unlink()
    assert view_key(home) == "", "there is nothing to unpack"


@pytest.mark.parametrize("own", [{}, {"SPARK_HOME": "itself"}])
def test_an_executor_gets_the_view_unless_it_names_its_spark(home: Path, tmp_path: Path, own: dict[str, str]) -> None:
    java = tmp_path / "jre" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.touch()
    env = {name: str(home) for name in own}
    app = ApplicationDescription(
        name="n", command=Command(argv=("Backend",), env=env), spark=SparkProgram(release="4.3")
    )  # fmt: skip
    launch = spark_executor(
        app,
        {},
        memory_mib=512,
        homes=[home],
        environ={"JAVA_HOME": str(tmp_path / "jre")},
        master_url="spark://m:1",
        view_for=lambda asked: tmp_path / "view" / asked.name,
    )
    assert launch.env["SPARK_HOME"] == (str(home) if own else str(tmp_path / "view" / "spark"))
    assert launch.argv[2] == f"{home}/jars/*", "its classes are those of an archive"


# --- when ---


class Bench:
    """``PythonViews``, and the calls that its thread hands in."""

    def __init__(self, folder: Path, *, is_on: bool = True) -> None:
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.views = PythonViews(folder, "worker-1", is_on=is_on, in_loop=self._calls.put)

    def look(self, after: float = 0.0) -> None:
        """As the loop does: at its time, and when the thread is done."""
        self.views.look(time.monotonic() + after)

    def thread_is_done(self) -> None:
        self._calls.get(timeout=30)()

    def make(self, home: Path) -> Path:
        assert self.views.view_for(home) == home
        self.look(QUIET + 1)
        self.thread_is_done()
        return self.views.view_for(home)

    def prune(self) -> None:
        self.look()
        self.thread_is_done()


def test_it_is_made_once_when_nothing_starts(home: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "views")
    assert bench.views.next_deadline() == float("inf")
    assert bench.views.view_for(home) == home
    bench.look()
    assert not (tmp_path / "views").exists() and bench.views.next_deadline() > time.monotonic() + QUIET / 2
    view = bench.make(home)
    assert (view / "python/lib/pyspark.zip/pyspark/worker.py").read_text() == "name = 'worker'\n"
    assert [entry.name for entry in (tmp_path / "views").iterdir()] == [view.name], "no workshop is left"
    bench.prune()
    assert Bench(tmp_path / "views").views.view_for(home) == view, "the next daemon finds it"


def test_the_first_of_two_workers_counts(home: Path, tmp_path: Path) -> None:
    one, two = Bench(tmp_path / "views"), Bench(tmp_path / "views")
    for bench in (one, two):
        assert bench.views.view_for(home) == home
    view = one.make(home)
    (view / "first").touch()
    two.look(QUIET + 1)
    two.thread_is_done()
    assert (two.views.view_for(home) / "first").exists()


def test_a_damaged_zip_file_is_told_once(home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = home / "python" / "lib" / "pyspark.zip"
    archive.write_bytes(archive.read_bytes()[:-30])
    bench = Bench(tmp_path / "views")
    assert bench.make(home) == home
    assert bench.views.next_deadline() == float("inf"), "it is given up"
    (record,) = caplog.records
    assert f"{archive}: File is not a zip file; its executors start as usual" in record.getMessage()
    assert list((tmp_path / "views").iterdir()) == []


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_damage_inside_a_zip_file_is_told_too(home: Path, tmp_path: Path, method: int) -> None:
    """Each reader of a damaged file notices the damage in its own way."""
    archive = home / "python" / "lib" / "pyspark.zip"
    with zipfile.ZipFile(archive, "w", method) as file:
        file.writestr("pyspark/__init__.py", random.Random(1).randbytes(2000).hex())
    whole = archive.read_bytes()
    archive.write_bytes(whole[:60] + b"\xff" * 400 + whole[460:])
    bench = Bench(tmp_path / "views")
    assert bench.make(home) == home
    archive.write_bytes(whole)
    os.utime(archive, (0, 0))
    assert bench.make(home) != home, "the next is made"


def test_a_view_whose_removal_broke_off_is_none(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path / "views")
    view = bench.make(home)
    away = home.rename(tmp_path / "unmounted")

    def broken_off(path: Path, **_: bool) -> None:
        (path / "python/lib/pyspark.zip/pyspark/worker.py").unlink(missing_ok=True)

    with monkeypatch.context() as context:
        context.setattr("stoker.worker.spark.store.shutil.rmtree", broken_off)
        bench.prune()
    away.rename(home)
    bench = Bench(tmp_path / "views")
    assert bench.views.view_for(home) == home
    bench.prune()
    assert bench.make(home) == view and (view / "python/lib/pyspark.zip/pyspark/worker.py").is_file()


def test_a_view_goes_with_its_spark_and_not_before_its_users(home: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "views")
    view = bench.make(home)
    bench.prune()
    env = {**os.environ, "SPARK_HOME": str(view)}
    with subprocess.Popen(["/bin/sh", "-c", "echo; read never"], env=env, stdin=-1, stdout=-1) as user:
        assert user.stdout is not None
        user.stdout.readline()
        shutil.rmtree(home)
        bench = Bench(tmp_path / "views")
        bench.prune()
        assert view.is_dir()
        user.kill()
    bench.look(3601)
    bench.thread_is_done()
    assert not view.exists()
    bench.look()
    assert bench.views.next_deadline() > time.monotonic() + 1


@pytest.mark.parametrize(("folder", "is_on"), [("views", False), ("a:b", True)])
def test_switched_off_or_no_word_for_a_path(home: Path, tmp_path: Path, folder: str, is_on: bool) -> None:
    bench = Bench(tmp_path / folder, is_on=is_on)
    assert bench.views.view_for(home) == home and bench.views.next_deadline() == float("inf")
