"""Clusters to measure, and clients of them."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stoker.client.api import Client
from stoker.config.client import client_config
from stoker.core.model.values import DriverDescription
from tests.bench.peers import Peers
from tests.support.cluster import Cluster

TRUE = "/usr/bin/true"
CLOCK = ("/usr/bin/date", "+%s.%N")


@dataclass
class Settings:
    """How often to measure, and how large; ``quick`` is for checking that the bench works."""

    peers: Peers
    quick: bool = False

    def times(self, count: int) -> int:
        return max(3, count // 4) if self.quick else count

    def size(self, count: int) -> int:
        return count // 10 if self.quick else count


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="stoker-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def running(workers: int = 2, **properties: str) -> Iterator[Cluster]:
    """Start a cluster of one-core workers with its own keys, and stop it at the end."""
    with folder() as home, Cluster(home, workers=workers, cores=1, memory="1g", properties=properties) as cluster:
        yield cluster


def client_of(cluster: Cluster) -> Client:
    return Client(config=client_config(argparse.Namespace(master=cluster.url), cluster.environ))


def small(client: Client, app: str, *args: str, cores: int = 1) -> DriverDescription:
    return client.describe(app, *args, memory=64, cores=cores)
