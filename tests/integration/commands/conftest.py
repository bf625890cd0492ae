"""A cluster for the tests of one file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """For tests that leave the daemons alone."""
    with Cluster(
        tmp_path_factory.mktemp("cluster"),
        workers=2,
        cores=4,
        memory="8g",
        properties={"spark.stoker.upload.maxSize": "3m"},
    ) as cluster:
        yield cluster
