"""The bench of a master with a policy of defaults."""

from __future__ import annotations

import pytest

from tests.support.core import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()
