"""Tests with hosts in containers. Without root or podman they skip, with what to install (under CI a skip is a failure)."""

from __future__ import annotations

import pytest

from tests.support.hosts import own_hosts, sweep
from tests.support.podman import cannot_run


@pytest.fixture(autouse=True, scope="session")
def containers_can_run() -> None:
    if reason := cannot_run():
        pytest.skip(reason)
    own_hosts()
    sweep()
