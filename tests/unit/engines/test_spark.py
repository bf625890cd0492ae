"""Which Spark runs an application's executors, and with what command."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.core.model.values import ApplicationDescription, Command, SparkProgram
from stoker.engines.launch import Launch
from stoker.engines.spark import any_home, find_home, java_properties, spark_executor, version_of
from stoker.errors import Refused


def home(path: Path, version: str) -> Path:
    jars = path / "jars"
    jars.mkdir(parents=True)
    (jars / f"spark-core_2.13-{version}.jar").touch()
    return path


def test_homes_side_by_side_are_told_apart_by_their_jars(tmp_path: Path) -> None:
    old, new = home(tmp_path / "a", "4.3.0"), home(tmp_path / "b", "4.3.10")
    other = home(tmp_path / "c", "3.5.9")
    assert version_of(old) == (4, 3, 0, "")
    assert find_home("4.3", [old, other, new]) == new
    assert find_home("4.3", [tmp_path]) == new  # a folder of homes
    assert find_home("4.2|3.5", [tmp_path]) == other
    assert find_home("4.3", [new], asked=str(other)) == other


def test_a_program_that_may_need_a_spark_gets_its_own_release_or_the_newest(tmp_path: Path) -> None:
    assert any_home([tmp_path]) is None
    old, new = home(tmp_path / "a", "3.5.9"), home(tmp_path / "b", "4.3.10")
    assert any_home([tmp_path]) == new
    assert any_home([tmp_path], preferred="3.5.1") == any_home([tmp_path], preferred="3.5") == old
    assert any_home([tmp_path], preferred="2.4.0") == new


def test_a_missing_spark_names_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(
        Refused, match=r"no Spark 4\.2 or 4\.1 on this worker \(there is: 3\.5\.9\).*spark\.stoker\.spark\.home"
    ):
        find_home("4.2|4.1", [home(tmp_path / "x", "3.5.9"), tmp_path / "nowhere"])
    with pytest.raises(Refused, match="SPARK_HOME of the application"):
        find_home("3.5", [tmp_path], asked=str(tmp_path / "nowhere"))


def test_the_executors_command(tmp_path: Path) -> None:
    there = home(tmp_path / "spark", "4.3.0")
    java = tmp_path / "jre" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.touch()
    app = ApplicationDescription(
        name="n",
        command=Command(argv=("a.Backend", "--executor-id", "{{EXECUTOR_ID}}"), env={"WHO": "{{APP_ID}}"}),
        spark=SparkProgram(
            release="4.3", java_options=("-Dx={{APP_ID}}",), class_path=("/extra.jar",), library_path=("/lib/native",)
        ),
    )
    launch = spark_executor(
        app,
        {"EXECUTOR_ID": "3", "APP_ID": "app-1"},
        memory_mib=512,
        homes=[there],
        environ={"JAVA_HOME": str(tmp_path / "jre"), "LD_LIBRARY_PATH": "/lib"},
        master_url="spark://m:1",
        secret="s",
    )
    assert launch.argv == [
        str(java), "-cp", f"/extra.jar:{there}/jars/*", "-Xmx512M", "-Dx=app-1", "a.Backend", "--executor-id", "3",
    ]  # fmt: skip
    assert launch.env["WHO"] == "app-1" and launch.env["SPARK_HOME"] == str(there)
    assert launch.env["LD_LIBRARY_PATH"] == "/lib/native:/lib" and launch.env["_SPARK_AUTH_SECRET"] == "s"
    with pytest.raises(Refused, match="no Java"):
        spark_executor(
            app, {}, memory_mib=1, homes=[there], environ={"JAVA_HOME": str(tmp_path)}, master_url="spark://m:1"
        )


def test_secrets_are_not_on_the_command_line(tmp_path: Path) -> None:
    java = tmp_path / "jre" / "bin" / "java"
    options = ["-Dspark.a=1", '-Dspark.x.secret=s3"c\\r3t ', "-Dspark.fs.access.key=k"]
    assert java_properties(options, str(java), tmp_path) == (options, {}), "Java 8 reads no files"
    (tmp_path / "jre" / "lib").mkdir(parents=True)
    (tmp_path / "jre" / "lib" / "modules").touch()
    words, files = java_properties(options, str(java), tmp_path)
    assert words == ["-Dspark.a=1", f"@{tmp_path}/.java-options"]
    assert files == {".java-options": '"-Dspark.x.secret=s3\\"c\\\\r3t "\n"-Dspark.fs.access.key=k"\n'}
    assert java_properties(options[:1], str(java), tmp_path) == (options[:1], {})
    Launch([], {}, files).write_files(tmp_path)
    assert (tmp_path / ".java-options").stat().st_mode & 0o777 == 0o600
