"""What a worker tells its keeper about a job's limits."""

from __future__ import annotations

import pytest

from stoker.config.worker import LimitsConfig
from stoker.core.model.values import ApplicationDescription, Artifact, Command, DriverDescription, SparkProgram
from stoker.core.worker.jobs import AnyJob, DriverJob, ExecutorJob
from stoker.errors import ConfigError, StokerError
from stoker.worker.groups.tree import NoTree
from stoker.worker.jobs import limits
from stoker.worker.jobs.limits import LimitsInForce, overhead_mib

MIB = 1 << 20


def driver(kind: str = "program", memory: int = 1024, cores: int = 2, **conf: str) -> DriverJob:
    described = DriverDescription(
        kind=kind,  # type: ignore[arg-type]
        main="t",
        artifacts=(Artifact(name="t", url="local:/t"),),
        conf={f"spark.driver.{name}": value for name, value in conf.items()},
    )
    return DriverJob(key="k", cores=cores, memory_mib=memory, driver_id="d", attempt=1, driver=described)


def executor(memory: int, *, spark: bool, overhead: int | None = None) -> ExecutorJob:
    program = SparkProgram(release="4.1", overhead_mib=overhead) if spark else None
    app = ApplicationDescription(name="a", command=Command(argv=("x",)), spark=program)
    return ExecutorJob(key="k", cores=1, memory_mib=memory, app_id="a", executor_id=0, app=app)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (driver(), 0),
        (driver("jar"), 384),
        (driver("jar", memory=10240), 1024),
        (driver("jar", memoryOverhead="50m"), 50),
        (driver(memoryOverhead="1g"), 1024),
        (executor(1024, spark=False), 0),
        (executor(1024, spark=True), 384),
        (executor(1024, spark=True, overhead=7), 7),
    ],
)
def test_a_jvm_gets_more_than_its_heap(job: AnyJob, expected: int) -> None:
    assert overhead_mib(job) == expected


def test_an_invalid_overhead_is_named() -> None:
    with pytest.raises(StokerError, match=r"spark\.driver\.memoryOverhead: 'x' is not"):
        overhead_mib(driver(memoryOverhead="x"))


def test_what_is_enforced() -> None:
    soft = LimitsInForce(LimitsConfig(mode="enforce", processes=9), "/tree", "")
    assert soft.of(driver()) == {
        "tree": "/tree",
        "enforce": True,
        "memory": 1024 * MIB,
        "weight": 200,
        "cpus": 0.0,
        "processes": 9,
    }
    hard = LimitsInForce(LimitsConfig(mode="enforce", hard_cpu=True), "/tree", "").of(driver())
    assert hard is not None and hard["cpus"] == 2.0
    small = soft.of(driver(memory=0, cores=0))
    assert small is not None and (small["memory"], small["weight"]) == (0, 10)
    jvm = soft.of(driver("jar"))
    assert jvm is not None and jvm["memory"] == (1024 + 384) * MIB


def test_what_is_only_measured_has_no_limits() -> None:
    assert LimitsInForce(LimitsConfig(mode="off"), "", "").of(driver()) is None
    assert LimitsInForce(LimitsConfig(), "", "").of(driver()) == {}
    assert LimitsInForce(LimitsConfig(), "/tree", "").of(driver()) == {"tree": "/tree"}


def test_a_worker_that_cannot_enforce_does_not_start_and_one_that_accounts_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def take(*, move_others: bool) -> str:
        raise NoTree("no groups here")

    monkeypatch.setattr(limits, "take", take)
    with pytest.raises(ConfigError, match=r"enforce: no groups here; or set spark\.stoker\.worker\.limits account"):
        LimitsInForce.found(LimitsConfig(mode="enforce"))
    assert LimitsInForce.found(LimitsConfig(mode="account")).words.startswith("account, by processes")
    assert LimitsInForce.found(LimitsConfig(mode="off")).words == "off"
