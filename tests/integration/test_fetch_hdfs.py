"""Files of drivers from a real HDFS, by its own protocol and over HTTP, as the user who may read them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster
from tests.support.hdfs import Hdfs, need_hadoop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ADA = ("--env", "HADOOP_USER_NAME=ada")


@pytest.fixture(scope="module")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    need_hadoop()
    with Hdfs(tmp_path_factory.mktemp("hdfs")) as hdfs:
        hdfs.write("/jobs/show.sh", b"#!/bin/sh\nwc -c <data.bin\n", owner="ada")
        hdfs.write("/jobs/data.bin", bytes(3_000_000), owner="ada")
        yield hdfs


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, hdfs: Hdfs) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("fetch")) as running:
        yield running


def address(hdfs: Hdfs, scheme: str) -> str:
    return {"hdfs": hdfs.url, "webhdfs": hdfs.web_url}[scheme]


@pytest.mark.parametrize("scheme", ["hdfs", "webhdfs"])
def test_a_program_and_its_data(cluster: Cluster, hdfs: Hdfs, scheme: str) -> None:
    where = address(hdfs, scheme)
    done = cluster.cli("submit", "--wait", *ADA, "--files", f"{where}/jobs/data.bin", f"{where}/jobs/show.sh")
    assert (done.returncode, done.stdout.strip()) == (0, "3000000"), done.stderr


@pytest.mark.parametrize("scheme", ["hdfs", "webhdfs"])
@pytest.mark.parametrize(
    ("options", "path", "reason"),
    [
        (ADA, "/jobs/none.sh", "/jobs/none.sh"),
        (("--env", "HADOOP_USER_NAME=bob"), "/jobs/show.sh", "Permission denied: user=bob"),
    ],
)
def test_what_cannot_be_had(
    cluster: Cluster, hdfs: Hdfs, scheme: str, options: tuple[str, ...], path: str, reason: str
) -> None:
    url = address(hdfs, scheme) + path
    done = cluster.cli("submit", "--wait", *options, url)
    assert done.returncode == 1
    said = done.stderr.partition(f"cannot fetch {url}: ")[2]
    assert reason in said and "java" not in said and done.stderr.count("\n") <= 2, done.stderr
