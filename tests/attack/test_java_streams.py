"""A Spark client sends bytes that are built to hold the master up: each message is rejected, or handled, at little cost."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import time
from collections.abc import Callable
from typing import Any

import pytest

from stoker.gateway.session import PeerSession
from stoker.gateway.spark_rpc import MAX_FRAME, Address, Envelope, Frame, Kind, RpcError, seal_envelope
from tests.attack.bombs import BOMBS
from tests.attack.java_graphs import KNOWN, Graph

SEEDS = int(os.environ.get("STOKER_ATTACK_SEEDS", "150"))
MOST_CPU = 0.1  # seconds of one message
MOST_MEMORY = 64 << 20  # bytes by which all messages together may make the process grow


def handle(payload: bytes, *, endpoint: str = "Master") -> tuple[float, list[Any]]:
    """Return the CPU time of one message in seconds, and what was posted to the master."""
    posted: list[Any] = []
    session = PeerSession(
        token="t",
        master=Address("m", 1),
        send=lambda data: None,
        post=posted.append,
        log=lambda kind, text: posted.append(text),
        close=lambda: None,
    )
    body = seal_envelope(Envelope(None, Address("m", 1), endpoint, payload))
    assert len(body) <= MAX_FRAME + 1024
    started = time.thread_time()
    with contextlib.suppress(RpcError):
        session.received(Frame(Kind.RPC_REQUEST, 1, body))
    return time.thread_time() - started, posted


def cheapest(payload: bytes) -> float:
    """Return the CPU time of the message, without what other programs on the machine add: the least of three."""
    cost = handle(payload)[0]
    return cost if cost < MOST_CPU / 2 else min(cost, handle(payload)[0], handle(payload)[0])


@pytest.mark.parametrize("make", BOMBS, ids=lambda make: make.__name__)
def test_a_bomb_costs_little(make: Callable[[], bytes]) -> None:
    payload = make()
    assert cheapest(payload) < MOST_CPU
    assert all(len(str(one)) < 5 << 20 for one in handle(payload)[1])


def test_graphs_of_classes_cost_little() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first = random.randrange(1 << 30) if SEEDS > 150 else 0
    roots = [name for name in KNOWN if "DeployMessages$" in name]
    for seed in range(first, first + SEEDS):
        payload = Graph(seed).build(roots[seed % len(roots)])[: MAX_FRAME - 1000]
        cost = cheapest(payload)
        assert cost < MOST_CPU, f"seed {seed}: {cost:.3f} s for {len(payload)} bytes"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < MOST_MEMORY
