"""What a worker puts into the commands of its jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.core.model.values import ApplicationDescription, Command, SparkProgram
from stoker.core.worker.jobs import ExecutorJob
from stoker.core.worker.registration import WorkerIdentity
from stoker.worker.jobs.launch import Launcher
from tests.support.settings import empty_environ, worker


def spark_home(folder: Path) -> Path:
    (folder / "spark" / "jars").mkdir(parents=True)
    (folder / "spark" / "jars" / "spark-core_2.13-4.3.0.jar").touch()
    (folder / "jre" / "bin").mkdir(parents=True)
    (folder / "jre" / "bin" / "java").touch()
    return folder / "spark"


def launcher(folder: Path, host: str) -> Launcher:
    environ = {
        **empty_environ(folder),
        "SPARK_HOME": str(spark_home(folder)),
        "JAVA_HOME": str(folder / "jre"),
        "SPARK_DIST_CLASSPATH": "/opt/hadoop/*",
    }
    config = worker(environ)
    identity = WorkerIdentity(
        id="worker-1", boot="b", host=host, port=7078, cores=1, memory_mib=512, webui_url="http://h:8081", version="1"
    )
    return Launcher(
        config, identity, environ=config.job_environ,
        archive_for=lambda runtime, options: None, view_for=lambda home: home,
    )  # fmt: skip


def executor(app: ApplicationDescription) -> ExecutorJob:
    return ExecutorJob(key="app-1/0", cores=1, memory_mib=512, app_id="app-1", executor_id=0, app=app)


@pytest.mark.parametrize(
    ("host", "plain", "sparks"), [("::1", "::1", "[::1]"), ("h", "h", "h"), ("10.0.0.7", "10.0.0.7", "10.0.0.7")]
)
def test_an_ipv6_address_is_in_brackets_for_sparks_executors_only(
    tmp_path: Path, host: str, plain: str, sparks: str
) -> None:
    command = Command(argv=("Backend", "--hostname", "{{HOSTNAME}}"))
    made = launcher(tmp_path, host)
    for spark, expected in ((None, plain), (SparkProgram(release="4.3"), sparks)):
        app = ApplicationDescription(name="n", command=command, spark=spark)
        job = executor(app)
        assert made.launch(job, tmp_path, "spark://m:1", []).argv[-2:] == ["--hostname", expected]


def test_the_hadoop_of_the_workers_environment_is_on_the_class_path_of_executors(tmp_path: Path) -> None:
    app = ApplicationDescription(name="n", command=Command(argv=("Backend",)), spark=SparkProgram(release="4.3"))
    job = executor(app)
    argv = launcher(tmp_path, "h").launch(job, tmp_path, "spark://m:1", []).argv
    assert argv[argv.index("-cp") + 1] == f"{tmp_path}/spark/jars/*:/opt/hadoop/*"
