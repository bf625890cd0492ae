"""The hosts that molecule made, the inventory it brought them up with, and a driver that nothing may disturb."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.site import Site, molecule_site, steady

__all__ = ["steady"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return molecule_site(Path(__file__).parent, tmp_path_factory.mktemp("inventory"))
