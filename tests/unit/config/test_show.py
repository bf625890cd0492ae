"""``stoker config show``: values, sources and readers of all settings; secrets stay hidden."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stoker.cli import main
from stoker.config.registry import PROPERTIES
from stoker.config.show import SettingRow, effective_rows


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    return tmp_path


def rows(folder: Path, *options: str, **environ: str) -> dict[str, list[SettingRow]]:
    found: dict[str, list[SettingRow]] = {}
    for row in effective_rows({"HOME": "/nonexistent", "SPARK_CONF_DIR": str(folder), **environ}, options=options):
        found.setdefault(row.name, []).append(row)
    return found


def test_every_property_is_shown_with_its_default(folder: Path) -> None:
    found = rows(folder)
    assert set(PROPERTIES) <= set(found)
    assert {row.source for name in PROPERTIES for row in found[name]} == {"default"}
    assert found["spark.worker.timeout"] == [
        SettingRow("spark.worker.timeout", "60s", "default", ("master", "worker", "client"))
    ]
    assert found["spark.executor.memory"][0].value == "1024m"
    assert found["spark.deploy.recoveryTimeout"] == [
        SettingRow("spark.deploy.recoveryTimeout", "spark.worker.timeout", "default", ("master",))
    ]


def test_the_source_is_named(folder: Path) -> None:
    defaults, env = folder / "spark-defaults.conf", folder / "spark-env"
    defaults.write_text("spark.deploy.maxDrivers 3\nspark.cores.max 2\n")
    env.write_text("SPARK_WORKER_CORES=3\nSPARK_MASTER_OPTS=-Dspark.worker.timeout=7\n")
    found = rows(folder, "spark.cores.max=4", SPARK_WORKER_MEMORY="2g")
    assert found["spark.deploy.maxDrivers"] == [SettingRow("spark.deploy.maxDrivers", "3", str(defaults), ("master",))]
    assert found["spark.cores.max"] == [SettingRow("spark.cores.max", "4", "--conf", ("client",))]
    assert found["SPARK_WORKER_CORES"] == [SettingRow("SPARK_WORKER_CORES", "3", str(env), ("worker",))]
    assert found["SPARK_WORKER_MEMORY"] == [SettingRow("SPARK_WORKER_MEMORY", "2g", "environment", ("worker",))]
    assert found["spark.worker.timeout"] == [
        SettingRow("spark.worker.timeout", "7", f"SPARK_MASTER_OPTS in {env}", ("master",)),
        SettingRow("spark.worker.timeout", "60s", "default", ("worker", "client")),
    ]


def test_what_is_hidden(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "spark-defaults.conf").write_text(
        "spark.authenticate.secret hush\nspark.hadoop.fs.s3a.secret.key hush\nspark.jdbc http://me:hush@there/\n"
    )
    (folder / "spark-env").write_text("SPARK_WORKER_OPTS=-Dspark.x.password=hush\n")
    assert main(["config", "show", "--conf", "spark.my.token=hush"]) == 0
    text = capsys.readouterr().out
    assert "hush" not in text
    assert text.count("(not shown)") == 6  # each, and SPARK_WORKER_OPTS
    assert main(["config", "show", "--json"]) == 0
    assert "hush" not in capsys.readouterr().out


def test_what_is_wrong_with_a_value_is_said_beside_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "spark-defaults.conf").write_text(
        "spark.worker.cleanup.enabled maybe\nspark.ui.filters x\nspark.stoker.foo 1\n"
    )
    assert main(["config", "show", "--json"]) == 1
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
    assert found["spark.worker.cleanup.enabled"]["problem"] == "'maybe' is neither true nor false"
    assert found["spark.ui.filters"]["problem"].startswith("accepted, without effect")
    assert found["spark.stoker.foo"]["problem"].startswith("unknown property spark.stoker.foo")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "x"], "unexpected argument 'x'"),
        (["sow"], "invalid choice"),
        (["show", "--conf", "x"], "NAME=VALUE"),
        (["show", "--properties-file", "/nonexistent/x"], "cannot read"),
        (["check"], "FILE"),
    ],
)
def test_wrong_usage_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert main(["config", *words]) == 2
    text = capsys.readouterr().err
    assert says in text
    assert len(text.splitlines()) == 1
