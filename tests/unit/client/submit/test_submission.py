"""From options, properties and environment to a ``DriverDescription`` (spec 2.3, 2.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stoker.client.submit.sources import FileIndex
from stoker.client.submit.submission import Options, describe
from stoker.config.client import ClientConfig
from stoker.core.model.values import DriverDescription
from stoker.errors import StokerError


def described(
    folder: Path, *, app: str = "job.py", config: dict[str, Any] | None = None, **options: Any
) -> DriverDescription:
    path = folder / app
    if not path.exists():
        path.write_text("")
        path.chmod(0o755)
    settings = ClientConfig(masters=("h:7077",), keys_dir=folder, authenticate=False, **(config or {}))
    return describe(Options(app=str(path), **options), settings, FileIndex())


def test_defaults_are_sparks(tmp_path: Path) -> None:
    driver = described(tmp_path, args=["--x", "1"])
    assert (driver.kind, driver.main, driver.args) == ("python", "job.py", ("--x", "1"))
    assert (driver.cores, driver.memory_mib, driver.supervise, driver.max_restarts) == (1, 1024, False, -1)


def test_options_win_over_properties(tmp_path: Path) -> None:
    properties = {
        "spark.driver.cores": "3",
        "spark.driver.memory": "2g",
        "spark.driver.supervise": "true",
        "spark.stoker.driver.maxRestarts": "5",
        "spark.app.name": "etl",
    }
    config = {"properties": properties}
    driver = described(tmp_path, config=config)
    assert (driver.cores, driver.memory_mib, driver.supervise, driver.max_restarts) == (3, 2048, True, 5)
    assert driver.name == "etl"
    driver = described(tmp_path, config=config, cores=0, memory_mib=512, name="other")
    assert (driver.cores, driver.memory_mib, driver.name) == (0, 512, "other")


def test_only_the_submissions_own_properties_travel(tmp_path: Path) -> None:
    properties = {
        "spark.cores.max": "4",
        "spark.deploy.spreadOut": "false",
        "spark.worker.timeout": "3",
        "spark.authenticate.secret": "hidden",
        "other": "x",
    }
    driver = described(tmp_path, config={"properties": properties}, conf={"spark.executor.cores": "2"})
    assert driver.conf == {"spark.cores.max": "4", "spark.executor.cores": "2"}
    said = {"spark.authenticate.secret": "said", "spark.worker.timeout": "4"}
    driver = described(tmp_path, config={"properties": properties}, conf=said)
    assert driver.conf == {"spark.cores.max": "4", "spark.authenticate.secret": "said"}


def test_java_options_and_environment(tmp_path: Path) -> None:
    config = {"forwarded_env": {"SPARK_JAVA_OPTS": '-Xss4m "-Da=b c"', "SPARK_X": "1", "SPARK_Y": "2"}}
    driver = described(tmp_path, config=config, env={"SPARK_Y": "3", "MODE": "fast"})
    assert driver.java_options == ("-Xss4m", "-Da=b c")
    assert driver.env == {"SPARK_X": "1", "SPARK_Y": "3", "MODE": "fast"}


def test_files_by_their_use(tmp_path: Path) -> None:
    for name in ("lib.zip", "a.jar", "data.csv"):
        (tmp_path / name).write_text(name)
    lib, jar, data = (str(tmp_path / name) for name in ("lib.zip", "a.jar", "data.csv"))
    driver = described(tmp_path, py_files=[lib, lib], jars=[jar], files=[data, lib])
    assert (driver.py_files, driver.jars) == (("lib.zip",), ("a.jar",))
    assert {artifact.name for artifact in driver.artifacts} == {"job.py", "lib.zip", "a.jar", "data.csv"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"py_files": ["a.txt"]}, r"--py-files: 'a\.txt' does not end in"),
        ({"jars": ["a.zip"]}, r"--jars: 'a\.zip' does not end in \.jar"),
        ({"main_class": "x"}, "has none"),
        ({"app": "job.whl"}, "--class"),
        ({"conf": {"spark.driver.memory": "1x"}}, r"spark\.driver\.memory: '1x'"),
        ({"conf": {"spark.driver.extraJavaOptions": '"'}}, "extraJavaOptions"),
        ({"args": ["\udcff"]}, "not UTF-8"),
        ({"args": ["a\0b"]}, "NUL"),
        ({"env": {"A": "\udcff"}}, "not UTF-8"),
        ({"env": {"": "x"}}, "malformed"),
        ({"cores": -1}, "cores must be between"),
    ],
)
def test_what_is_malformed_is_named(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(StokerError, match=says) as raised:
        described(tmp_path, **options)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)
