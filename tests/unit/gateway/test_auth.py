"""How Spark clients authenticate at the gateway: both methods, from both sides."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.core.model.values import SparkProgram
from stoker.gateway import sasl
from stoker.gateway.crypto import AuthEngine, AuthMessage, Stream
from stoker.gateway.guard import USER, Caller, Guard
from stoker.gateway.primitives import Method, method_of, recorded
from stoker.gateway.sasl import Account, AuthError
from stoker.gateway.spark_rpc import Kind, frame
from stoker.gateway.terms import Terms

METHODS: tuple[Method, ...] = ("sasl", "crypto1", "crypto2", "gcm1", "gcm2")


def nonces() -> Callable[[], str]:
    return iter(f"nonce{number}" for number in range(10)).__next__


def exchange(caller: Caller, guard: Guard) -> None:
    """To the end, or AuthError."""
    said: bytes | None = caller.first()
    while said is not None:
        said = caller.received(guard.received(said))


@pytest.mark.parametrize("method", METHODS)
def test_who_knows_the_secret_is_let_in(method: Method) -> None:
    caller, guard = Caller("s3cr3t", method, nonces()), Guard(Terms("s3cr3t"), nonces())
    exchange(caller, guard)
    assert guard.is_done
    assert guard.encrypts == (caller.stream is not None) == (method != "sasl")
    if caller.stream is not None:
        hello = caller.stream.encrypt(frame(Kind.ONE_WAY, b"hello"))
        stream = guard.choose(hello[:8])
        assert stream.decrypt(hello) == frame(Kind.ONE_WAY, b"hello")
        assert stream.method == method
        assert caller.stream.decrypt(stream.encrypt(b"back")) == b"back"
        assert stream.decrypt(caller.stream.encrypt(b"more")) == b"more"
    else:
        assert guard.method == method


def gcm_streams(terms: Terms = Terms("s")) -> tuple[Stream, Stream]:  # noqa: B008 - immutable
    """The caller's, and the called side's after a first message."""
    caller, guard = Caller("s", "gcm2", nonces()), Guard(terms, nonces())
    exchange(caller, guard)
    assert caller.stream is not None
    first = caller.stream.encrypt(b"first")
    stream = guard.choose(first[:8])
    assert stream.decrypt(first) == b"first"
    return caller.stream, stream


def test_gcm_messages_of_any_size_arrive_in_any_pieces() -> None:
    caller, called = gcm_streams()
    for size in (0, 1, 32751, 32752, 32753, 100_000, 1 << 20):
        data = bytes(range(256)) * (size // 256 + 1)
        sealed = caller.encrypt(data[:size])
        pieces = [sealed[at : at + 10_007] for at in range(0, len(sealed), 10_007)]
        assert b"".join(called.decrypt(piece) for piece in pieces) == data[:size]
        assert called.unfinished == 0


@given(st.integers(0, 200_000), st.integers(1, 255))
def test_gcm_notices_a_changed_byte(at: int, change: int) -> None:
    caller, called = gcm_streams()
    sealed = bytearray(caller.encrypt(b"x" * 100_000))
    sealed[at % len(sealed)] ^= change
    with contextlib.suppress(AuthError):
        assert called.decrypt(bytes(sealed)) == b""  # or it waits for a longer message
        assert called.unfinished <= len(sealed)


def test_gcm_messages_are_limited() -> None:
    _, called = gcm_streams()
    for length in (-1, 0, 31, 1 << 40):
        with pytest.raises(AuthError, match="length"):
            called.decrypt(struct.pack(">q", length))


def test_what_a_master_may_demand() -> None:
    with pytest.raises(AuthError, match=r"spark\.network\.crypto\.enabled to true"):
        exchange(Caller("s", "sasl", nonces()), Guard(Terms("s", sasl=False), nonces()))
    caller, guard = Caller("s", "crypto2", nonces()), Guard(Terms("s", sasl=False, only_gcm=True), nonces())
    exchange(caller, guard)
    assert caller.stream is not None
    with pytest.raises(AuthError, match="AES/GCM/NoPadding"):
        guard.choose(caller.stream.encrypt(frame(Kind.ONE_WAY, b"hello")))
    gcm_streams(Terms("s", sasl=False, only_gcm=True))


@pytest.mark.parametrize("method", METHODS)
def test_who_does_not_is_not(method: Method) -> None:
    guard = Guard(Terms("s3cr3t"), nonces())
    with pytest.raises(AuthError, match=r"wrong spark\.authenticate\.secret"):
        exchange(Caller("guess", method, nonces()), guard)
    assert not guard.is_done


def test_a_server_that_does_not_know_the_secret_is_found_out() -> None:
    client, server = sasl.DigestClient(Account("u", "s"), "c"), sasl.DigestServer([Account("u", "s")], "n")
    right = server.finish(client.answer(server.challenge()))
    client.check(right[0])
    with pytest.raises(AuthError):
        client.check(b"rspauth=" + b"0" * 32)
    with pytest.raises(AuthError):
        client.check(b"")


def test_the_digest_is_that_of_the_jdk() -> None:
    """Recorded from javax.security.sasl's DIGEST-MD5 client with Spark's user and the password ``s3cr3t``."""
    answer = (
        b'charset=utf-8,username="c3BhcmtTYXNsVXNlcg==",realm="default",nonce="abc",nc=00000001,'
        b'cnonce="gpwPE1UQ9Kql9fdkCm0nBZBk6GzljFyLoQWpPPUN",digest-uri="null/default",maxbuf=65536,'
        b"response=7390c345f943bf653840d9170ecca5fe,qop=auth"
    )
    proof = sasl.DigestServer([Account(USER, "s3cr3t")], "abc").finish(answer)[0]
    assert proof.startswith(b"rspauth=")


def test_an_answer_to_another_challenge_is_worth_nothing() -> None:
    account = Account(USER, "s")
    client, first = sasl.DigestClient(account, "c"), sasl.DigestServer([account], "one")
    answer = client.answer(first.challenge())
    with pytest.raises(AuthError):
        sasl.DigestServer([account], "two").finish(answer)


def test_sasl_encryption_is_refused_in_words() -> None:
    account = Account(USER, "s")
    answer = sasl.DigestClient(account, "c").answer(sasl.DigestServer([account], "n").challenge())
    with pytest.raises(AuthError, match=r"spark\.network\.crypto\.enabled"):
        sasl.DigestServer([account], "n").finish(answer.replace(b"qop=auth", b"qop=auth-conf"))


def test_who_does_not_authenticate_is_told_to() -> None:
    with pytest.raises(AuthError, match=r"spark\.authenticate\.secret"):
        Guard(Terms("s"), nonces()).received(b"\x01hello")


def test_a_cipher_that_is_not_ours_is_named() -> None:
    guard = Guard(Terms("s"), nonces())
    exchange(Caller("s", "crypto1", nonces()), guard)
    with pytest.raises(AuthError, match="AES/CTR/NoPadding"):
        guard.choose(b"\x17" * 8)


@pytest.mark.parametrize("app_id", ["somebody", ""])
def test_only_sparks_own_user_is_known(app_id: str) -> None:
    challenge = AuthEngine(app_id, "s").challenge()
    with pytest.raises(AuthError):
        Guard(Terms("s"), nonces()).received(challenge.encode())


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise(data: bytes) -> None:
    for tag in (b"", b"\xea", b"\xfb", b"\xea\x00\x00\x00\x0dsparkSaslUser\x00\x00\x00\x00"):
        guard = Guard(Terms("s"), nonces())
        with contextlib.suppress(AuthError):
            guard.received(tag + data)
            guard.received(tag + data)
        assert not guard.is_done
    with contextlib.suppress(AuthError):
        sasl.parse(data)
    with contextlib.suppress(AuthError):
        AuthMessage.decode(b"\xfb" + data)


@pytest.mark.parametrize("method", METHODS)
def test_the_cipher_is_recorded_beside_the_method(method: Method) -> None:
    """Release 0.1.0 rejects a record whose ``auth`` it does not know, and skips a field that it does not know."""
    auth, cipher = recorded(method)
    assert auth in {"", "sasl", "crypto1", "crypto2"}
    assert method_of(SparkProgram(release="4.3", auth=auth, cipher=cipher)) == method
