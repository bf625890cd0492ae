"""How Spark clients authenticate at the gateway: both methods, from both sides."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.core.model.values import SparkAuth
from stoker.gateway import sasl
from stoker.gateway.crypto import AuthMessage, Engine
from stoker.gateway.guard import USER, Caller, Guard
from stoker.gateway.sasl import Account, AuthError
from stoker.gateway.spark_rpc import Kind, frame

METHODS: tuple[SparkAuth, ...] = ("sasl", "crypto1", "crypto2")


def nonces() -> Callable[[], str]:
    return iter(f"nonce{number}" for number in range(10)).__next__


def exchange(caller: Caller, guard: Guard) -> None:
    """To the end, or AuthError."""
    said: bytes | None = caller.first()
    while said is not None:
        said = caller.received(guard.received(said))


@pytest.mark.parametrize("method", METHODS)
def test_who_knows_the_secret_is_let_in(method: SparkAuth) -> None:
    caller, guard = Caller("s3cr3t", method, nonces()), Guard("s3cr3t", nonces())
    exchange(caller, guard)
    assert guard.is_done
    assert guard.encrypts == (caller.stream is not None) == (method != "sasl")
    if caller.stream is not None:
        hello = frame(Kind.ONE_WAY, b"hello")
        stream, plain = guard.choose(caller.stream.encrypt(hello))
        assert plain == hello
        assert caller.stream.decrypt(stream.encrypt(b"back")) == b"back"
        assert stream.decrypt(caller.stream.encrypt(b"more")) == b"more"
    assert guard.method == method


@pytest.mark.parametrize("method", METHODS)
def test_who_does_not_is_not(method: SparkAuth) -> None:
    guard = Guard("s3cr3t", nonces())
    with pytest.raises(AuthError, match=r"wrong spark\.authenticate\.secret"):
        exchange(Caller("guess", method, nonces()), guard)
    assert not guard.is_done


def test_a_server_that_does_not_know_the_secret_is_found_out() -> None:
    client, server = sasl.DigestClient(Account("u", "s"), "c"), sasl.DigestServer(Account("u", "s"), "n")
    right = server.finish(client.answer(server.challenge()))
    client.check(right)
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
    proof = sasl.DigestServer(Account(USER, "s3cr3t"), "abc").finish(answer)
    assert proof.startswith(b"rspauth=")


def test_an_answer_to_another_challenge_is_worth_nothing() -> None:
    account = Account(USER, "s")
    client, first = sasl.DigestClient(account, "c"), sasl.DigestServer(account, "one")
    answer = client.answer(first.challenge())
    with pytest.raises(AuthError):
        sasl.DigestServer(account, "two").finish(answer)


def test_sasl_encryption_is_refused_in_words() -> None:
    account = Account(USER, "s")
    answer = sasl.DigestClient(account, "c").answer(sasl.DigestServer(account, "n").challenge())
    with pytest.raises(AuthError, match=r"spark\.network\.crypto\.enabled"):
        sasl.DigestServer(account, "n").finish(answer.replace(b"qop=auth", b"qop=auth-conf"))


def test_who_does_not_authenticate_is_told_to() -> None:
    with pytest.raises(AuthError, match=r"spark\.authenticate\.secret"):
        Guard("s", nonces()).received(b"\x01hello")


def test_a_cipher_that_is_not_ours_is_named() -> None:
    guard = Guard("s", nonces())
    exchange(Caller("s", "crypto1", nonces()), guard)
    with pytest.raises(AuthError, match="AES/CTR/NoPadding"):
        guard.choose(b"\x17" * 8)


@pytest.mark.parametrize("app_id", ["somebody", ""])
def test_only_sparks_own_user_is_known(app_id: str) -> None:
    challenge = Engine(app_id, "s").challenge()
    with pytest.raises(AuthError):
        Guard("s", nonces()).received(challenge.encode())


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise(data: bytes) -> None:
    for tag in (b"", b"\xea", b"\xfb", b"\xea\x00\x00\x00\x0dsparkSaslUser\x00\x00\x00\x00"):
        guard = Guard("s", nonces())
        with contextlib.suppress(AuthError):
            guard.received(tag + data)
            guard.received(tag + data)
        assert not guard.is_done
    with contextlib.suppress(AuthError):
        sasl.parse(data)
    with contextlib.suppress(AuthError):
        AuthMessage.decode(b"\xfb" + data)
