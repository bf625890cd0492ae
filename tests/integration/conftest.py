"""A server and its peers over real TCP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.gateway.server import GatedServer
from stoker.io import transport
from stoker.io.sockets import Server
from tests.support.net import Net


@pytest.fixture(params=["curve", "open", "gated"])
def net(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    """With authentication, without, and with it behind the gateway's door, as peers whose network clears their marks."""
    if request.param == "gated":
        monkeypatch.setattr(transport, "mark_connections", lambda sock: None)
    make = GatedServer if request.param == "gated" else Server
    net = Net(tmp_path, authenticate=request.param != "open", make=make)
    yield net
    net.close()


@pytest.fixture
def curve(tmp_path: Path) -> Iterator[Net]:
    net = Net(tmp_path)
    yield net
    net.close()


@pytest.fixture
def keys_dir(tmp_path: Path) -> Path:
    """Where a scripted master makes its keys, and its clients read them."""
    return tmp_path / "keys"
