"""The bench of a registered worker."""

from __future__ import annotations

import pytest

from tests.unit.core.worker.bench import WorkerBench


@pytest.fixture
def bench() -> WorkerBench:
    found = WorkerBench()
    found.register()
    return found
