"""The settings that a daemon's page shows: with their source, without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.config.effective import shown
from stoker.config.effective import shown_settings as shown_of
from stoker.config.sources import load_settings
from stoker.core.model.redaction import HIDDEN


@pytest.fixture
def conf(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "spark-defaults.conf").write_text(
        "spark.worker.timeout 30s\nspark.authenticate.secret hunter2\nspark.hadoop.fs.s3a.access.key AKIA\nspark.mine x\n"
    )
    (tmp_path / "spark-env.sh").write_text('SPARK_MASTER_PORT=7078\nSPARK_MASTER_OPTS="-Dspark.mypassword=hunter3"\n')
    return {
        "SPARK_CONF_DIR": str(tmp_path),
        "HOME": "/root",
        "SPARK_PUBLIC_DNS": "h1",
        "AWS_SECRET_ACCESS_KEY": "hunter4",
    }


def test_what_is_shown(conf: dict[str, str]) -> None:
    own = shown_of(load_settings(conf, daemon="master"))
    file = f"{conf['SPARK_CONF_DIR']}/spark-defaults.conf"
    properties = {one.name: (one.value, one.source) for one in own.properties}
    assert properties["spark.worker.timeout"] == ("30s", file)
    assert properties["spark.authenticate.secret"] == (HIDDEN, file)
    assert properties["spark.mine"] == (HIDDEN, file), "it is not the daemons'"
    variables = {one.name: (one.value, one.source) for one in own.variables}
    assert variables["SPARK_PUBLIC_DNS"] == ("h1", "environment")
    assert variables["SPARK_MASTER_PORT"] == ("7078", f"SPARK_MASTER_PORT in {conf['SPARK_CONF_DIR']}/spark-env.sh")
    assert variables["SPARK_MASTER_OPTS"][0] == HIDDEN
    assert "hunter" not in str(own)
    assert "AKIA" not in str(own)


@pytest.mark.parametrize("value", ["-Dmy.password=x", "https://ada:x@h/", "A_TOKEN=1"])
def test_a_value_that_looks_like_a_secret_is_hidden(value: str) -> None:
    assert shown("any", value) == HIDDEN
