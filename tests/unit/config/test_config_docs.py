"""docs/configuration.md has every setting, with the default and the meaning the code gives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.config.ineffective import INEFFECTIVE
from stoker.config.registry import FAMILIES, PROPERTIES, Known
from stoker.config.variables import VARIABLES
from stoker.core.model.values import UNLIMITED

TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
LINES = frozenset(TEXT.splitlines())
VARIABLES_OF_THE_GUIDES = (
    "SPARK_MASTER_IP SPARK_MASTER_PORT SPARK_MASTER_WEBUI_PORT SPARK_MASTER_OPTS SPARK_LOCAL_DIRS SPARK_WORKER_CORES "
    "SPARK_WORKER_MEMORY SPARK_WORKER_PORT SPARK_WORKER_WEBUI_PORT SPARK_WORKER_INSTANCES SPARK_WORKER_DIR "
    "SPARK_WORKER_OPTS SPARK_DAEMON_MEMORY SPARK_DAEMON_JAVA_OPTS SPARK_PUBLIC_DNS SPARK_JAVA_OPTS SPARK_SSH_FOREGROUND "
    "MASTER"
)
PROPERTIES_OF_THE_GUIDES = (
    "spark.deploy.retainedApplications spark.deploy.retainedDrivers spark.deploy.spreadOut spark.deploy.defaultCores "
    "spark.worker.timeout spark.worker.cleanup.enabled spark.worker.cleanup.interval spark.worker.cleanup.appDataTtl "
    "spark.deploy.recoveryMode spark.deploy.recoveryDirectory spark.deploy.zookeeper.url spark.deploy.zookeeper.dir "
    "spark.cores.max spark.executor.memory"
)


def shown_default(known: Known) -> str:
    if known.default is None:
        return ""
    if known.default == UNLIMITED:
        return "unlimited"
    if isinstance(known.default, bool):
        return str(known.default).lower()
    return f"{known.default:g} s" if isinstance(known.default, float) else str(known.default)


@pytest.mark.parametrize("known", PROPERTIES.values(), ids=PROPERTIES)
def test_property(known: Known) -> None:
    assert f"| `{known.name}` | {shown_default(known)} | {known.meaning} | `{known.example}` |" in LINES
    known.parse(known.example)


@pytest.mark.parametrize("name", VARIABLES)
def test_variable(name: str) -> None:
    assert f"| `{name}` | {VARIABLES[name]} |" in LINES


@pytest.mark.parametrize("name", FAMILIES)
def test_family(name: str) -> None:
    assert f"| `{name}` | {FAMILIES[name]} |" in LINES


def test_properties_without_effect() -> None:
    assert {f"- `{name}`" + (f": {hint}" if hint else "") for name, hint in INEFFECTIVE.items()} <= LINES
    assert not set(INEFFECTIVE) & set(PROPERTIES)


def test_everything_spark_s_guides_name_works() -> None:
    assert set(VARIABLES_OF_THE_GUIDES.split()) <= set(VARIABLES)
    assert set(PROPERTIES_OF_THE_GUIDES.split()) <= set(PROPERTIES)
