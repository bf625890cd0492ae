"""Which Spark runs an application's executors, and with what command."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from stoker.core.model.values import ApplicationDescription, Artifact, Command, DriverDescription, SparkProgram
from stoker.engines.driver import driver_launch
from stoker.engines.launch import Launch
from stoker.engines.spark import (
    any_home,
    configured_class_path,
    find_home,
    java_properties,
    spark_driver,
    spark_executor,
    version_of,
)
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
        Refused, match=r"no Spark 4\.2 or 4\.1 on this worker \(installed: 3\.5\.9\).*spark\.stoker\.spark\.home"
    ):
        find_home("4.2|4.1", [home(tmp_path / "x", "3.5.9"), tmp_path / "nowhere"])
    with pytest.raises(Refused, match=r"no Spark in .*/nowhere on this worker"):
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


def test_the_workers_configuration_is_on_the_class_path(tmp_path: Path) -> None:
    """Where Spark's launcher puts it; templates are no configuration."""
    there = home(tmp_path / "spark", "4.3.0")
    (there / "conf").mkdir()
    (there / "conf" / "log4j2.properties.template").touch()
    assert not configured_class_path(there, {})
    (there / "conf" / "core-site.xml").touch()
    env = {"HADOOP_CONF_DIR": "/etc/hadoop", "SPARK_DIST_CLASSPATH": "/hadoop/*:/more/*"}
    assert configured_class_path(there, env) == ([f"{there}/conf"], ["/etc/hadoop", "/hadoop/*:/more/*"])
    java = tmp_path / "jre" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.touch()
    environ = {"JAVA_HOME": str(tmp_path / "jre"), **env}
    whole = f"{there}/conf:{there}/jars/*:/etc/hadoop:/hadoop/*:/more/*"
    app = ApplicationDescription(name="n", command=Command(argv=("Backend",)), spark=SparkProgram(release="4.3"))
    launch = spark_executor(
        app, {}, memory_mib=1, homes=[there], environ=environ, master_url="spark://m:1",
        archive_for=lambda runtime, options: tmp_path / "archive",
    )  # fmt: skip
    assert launch.argv[:3] == [str(java), "-cp", whole], "no archive: its class path is another"
    jar = DriverDescription(
        kind="jar", main="app.jar", main_class="Main", artifacts=(Artifact(name="app.jar", url="file:/app.jar"),)
    )
    launch = driver_launch(jar, tmp_path, environ=environ, master_url="spark://m:1", homes=[there])
    assert launch.argv[2] == f"{tmp_path}/app.jar:{whole}"


def test_a_python_driver_finds_the_workers_spark_and_its_submissions_settings(tmp_path: Path) -> None:
    there = home(tmp_path / "spark", "4.3.0")
    lib = there / "python" / "lib"
    lib.mkdir(parents=True)
    for name in ("pyspark.zip", "py4j-0.10.9-src.zip"):
        (lib / name).touch()
    driver = DriverDescription(
        kind="python", main="job.py", artifacts=(Artifact(name="job.py", url="file:/job.py"),),
        conf={"spark.executor.memory": "1g", "spark.app.name": "a b", "spark.files": "/x"},
    )  # fmt: skip
    launch = driver_launch(
        driver, tmp_path, environ={"PYTHONPATH": "/mine"}, master_url="spark://m:1", homes=[tmp_path / "none", there]
    )
    assert launch.env["SPARK_HOME"] == str(there)
    assert launch.env["PYTHONPATH"] == f"{lib}/pyspark.zip:{lib}/py4j-0.10.9-src.zip:/mine"
    assert launch.env["PYSPARK_SUBMIT_ARGS"] == (
        "--master spark://m:1 --conf 'spark.app.name=a b' --conf spark.executor.memory=1g pyspark-shell"
    )
    own = msgspec.structs.replace(driver, env={"SPARK_HOME": "/own", "PYSPARK_SUBMIT_ARGS": "mine"})
    launch = driver_launch(own, tmp_path, environ={}, master_url="spark://m:1", homes=[there])
    assert (launch.env["SPARK_HOME"], launch.env["PYSPARK_SUBMIT_ARGS"]) == ("/own", "mine")
    assert "PYTHONPATH" not in launch.env


@pytest.mark.parametrize(
    ("conf", "env", "interpreter", "executors"),
    [
        ({}, {}, sys.executable, None),
        ({}, {"PYSPARK_PYTHON": "e"}, "e", "e"),
        ({}, {"PYSPARK_PYTHON": "e", "PYSPARK_DRIVER_PYTHON": "d"}, "d", "e"),
        ({"spark.pyspark.python": "E"}, {"PYSPARK_PYTHON": "e", "PYSPARK_DRIVER_PYTHON": "d"}, "E", "E"),
        ({"spark.pyspark.python": "E", "spark.pyspark.driver.python": "D"}, {"PYSPARK_DRIVER_PYTHON": "d"}, "D", "E"),
        ({"spark.pyspark.driver.python": "D"}, {"PYSPARK_PYTHON": "e"}, "D", "e"),
    ],
)
@pytest.mark.parametrize("from_the_worker", [True, False])
def test_the_python_of_a_driver_and_of_its_executors(
    tmp_path: Path,
    conf: dict[str, str],
    env: dict[str, str],
    interpreter: str,
    executors: str | None,
    from_the_worker: bool,
) -> None:
    """In the order of Spark's SparkSubmit and PythonRunner; the variables are the worker's, or the submission's."""
    driver = DriverDescription(
        kind="python", main="job.py", artifacts=(Artifact(name="job.py", url="file:/job.py"),), conf=conf,
        env={} if from_the_worker else env,
    )  # fmt: skip
    launch = driver_launch(driver, tmp_path, environ=env if from_the_worker else {}, master_url="spark://m:1")
    assert (launch.argv[0], launch.env.get("PYSPARK_PYTHON")) == (interpreter, executors)


def test_a_jar_of_sparks_old_client_is_loaded_beside_its_dependencies(tmp_path: Path) -> None:
    """By SparkSubmit. On the JVM's own class path its classes would not see those of --jars."""
    there = home(tmp_path / "spark", "4.1.4")
    java = tmp_path / "jre" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.touch()
    driver = DriverDescription(
        kind="jar", main="app.jar", main_class="org.apache.spark.deploy.worker.DriverWrapper",
        args=("{{WORKER_URL}}", "{{USER_JAR}}", "Main", "x"),
        artifacts=(Artifact(name="app.jar", url="file:/app.jar"),),
        spark=SparkProgram(release="4.2|4.1", java_options=("-Dspark.jars=/dep.jar",)),
    )  # fmt: skip
    launch = spark_driver(
        driver, tmp_path, environ={"JAVA_HOME": str(tmp_path / "jre")}, master_url="spark://m:1", homes=[there]
    )
    assert launch.argv[2] == f"{there}/jars/*" and launch.argv[-4:] == ["--class", "Main", f"{tmp_path}/app.jar", "x"]
    both = [there, home(tmp_path / "other", "4.2.1")]
    environ = {"JAVA_HOME": str(tmp_path / "jre")}
    with pytest.raises(Refused, match=r"\(4\.2 or 4\.1\), and this worker has both: set spark\.stoker\.spark\.release"):
        spark_driver(driver, tmp_path, environ=environ, master_url="spark://m:1", homes=both)
    spark = SparkProgram(release="4.2|4.1", java_options=("-Dspark.stoker.spark.release=4.1.4",))
    named = msgspec.structs.replace(driver, spark=spark)
    launch = spark_driver(named, tmp_path, environ=environ, master_url="spark://m:1", homes=both)
    assert launch.env["SPARK_HOME"] == str(there)
