"""No peer makes a log grow without bound, and none hides what another does."""

from __future__ import annotations

import logging

import pytest

from stoker.io.peer_log import OF_ALL, OF_ONE, WINDOW, PeerLog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_of_one_peer_and_kind_are_counted_when_there_are_too_many(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    peers = PeerLog(logging.getLogger("test"), clock)
    for number in range(1000):
        peers.warning("h1", "refused", f"line {number}")
    peers.warning("h2", "refused", "of another")
    peers.warning("h1", "garbage", "of another kind")
    lines = [record.getMessage() for record in caplog.records]
    assert lines[: OF_ONE - 1] == [f"line {number}" for number in range(OF_ONE - 1)]
    assert lines[OF_ONE - 1 :] == [
        f"line {OF_ONE - 1} (more like it from h1 are counted only, for 60 s)", "of another", "of another kind",
    ]  # fmt: skip
    clock.now += WINDOW
    peers.warning("h1", "refused", "again")
    assert caplog.records[-1].getMessage() == f"again ({1000 - OF_ONE} more like it were not logged)"


def test_many_addresses_are_one_crowd(caplog: pytest.LogCaptureFixture) -> None:
    peers = PeerLog(logging.getLogger("test"), Clock())
    for number in range(20_000):
        peers.warning(f"2001:db8::{number:x}", "refused", "line")
    assert len(caplog.records) <= OF_ALL
