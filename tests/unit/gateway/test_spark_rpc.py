"""Frames and envelopes of Spark's RPC."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.gateway import spark_rpc as rpc
from tests.support.spark import VERSIONS, recorded


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_client_asks_and_registers(version: str) -> None:
    ask, tell = recorded(version)
    assert (ask.kind, tell.kind) == (rpc.Kind.RPC_REQUEST, rpc.Kind.ONE_WAY)
    assert rpc.open_envelope(ask.body).endpoint == "endpoint-verifier"
    envelope = rpc.open_envelope(tell.body)
    assert (envelope.endpoint, envelope.receiver) == ("Master", rpc.Address("127.0.0.1", 17991))


@given(
    st.lists(st.tuples(st.sampled_from(list(rpc.Kind)), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=40))),
    st.integers(1, 17),
)
def test_frames_survive_in_whatever_pieces_they_come(frames: list[tuple[rpc.Kind, int, bytes]], size: int) -> None:
    stream = b"".join(rpc.frame(kind, body, request) for kind, request, body in frames)
    reader = rpc.FrameReader()
    read = [one for at in range(0, len(stream), size) for one in reader.feed(stream[at : at + size])]
    assert read == [rpc.Frame(kind, 0 if kind is rpc.Kind.ONE_WAY else request, body) for kind, request, body in frames]


ADDRESSES = st.none() | st.builds(rpc.Address, st.text(max_size=30), st.integers(0, 65535))


@given(st.builds(rpc.Envelope, ADDRESSES, ADDRESSES, st.text(max_size=30), st.binary(max_size=30)))
def test_envelopes_survive(envelope: rpc.Envelope) -> None:
    assert rpc.open_envelope(rpc.seal_envelope(envelope)) == envelope


@pytest.mark.parametrize(
    "data",
    [
        (2**62).to_bytes(8, "big"),
        (rpc.MAX_FRAME + 1).to_bytes(8, "big"),
        (0).to_bytes(8, "big"),
        (8).to_bytes(8, "big"),
        b"\xff" * 8,
        (9).to_bytes(8, "big") + b"\x03",
        (9).to_bytes(8, "big") + b"\x06",
        (14).to_bytes(8, "big") + b"\x09\x00\x00\x00\x07x",
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(rpc.RpcError):
        list(rpc.FrameReader().feed(data))


@given(st.binary(max_size=100))
def test_no_bytes_do_more_than_raise(data: bytes) -> None:
    with contextlib.suppress(rpc.RpcError):
        rpc.open_envelope(data)
    with contextlib.suppress(rpc.RpcError):
        list(rpc.FrameReader().feed(data))
