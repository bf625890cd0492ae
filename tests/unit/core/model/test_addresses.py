"""HOST:PORT, and the names by which a user may call it."""

from __future__ import annotations

import pytest

from stoker.core.model.addresses import address_of, bracketed, is_loopback, names_address


@pytest.mark.parametrize(
    ("host", "shown"),
    [("h1", "h1:4001"), ("10.0.0.1", "10.0.0.1:4001"), ("::1", "[::1]:4001"), ("[::1]", "[::1]:4001")],
)
def test_an_ipv6_address_is_in_brackets(host: str, shown: str) -> None:
    assert address_of(host, 4001) == shown
    assert bracketed(host) + ":4001" == shown


@pytest.mark.parametrize("name", ["::1", "[::1]", "[::1]:4001", "0:0:0:0:0:0:0:1", "[0:0::1]:4001", "0000::0001"])
def test_names_of_an_ipv6_address(name: str) -> None:
    assert names_address(name, "::1", 4001)
    assert not names_address(name, "::2", 4001)


@pytest.mark.parametrize("name", ["h1", "H1", "h1:4001", "H1:4001"])
def test_names_of_a_host(name: str) -> None:
    assert names_address(name, "h1", 4001)
    assert not names_address(name, "h2", 4001)


@pytest.mark.parametrize(
    "name", ["", ":", "h1:", "h1:4002", "[::1]:4002", "::1:4002", "1:4001", "[", "]:4001", "::1:4001"]
)
def test_other_names(name: str) -> None:
    assert not names_address(name, "h1", 4001)
    assert not names_address(name, "::1", 4001)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "0:0::1", "::1%lo"]
)
def test_a_loopback_host(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "h1", "localhost.example.org", "10.0.0.1", "::", "0.0.0.0", "fe80::1%lo", "notlocalhost"]
)
def test_a_host_that_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)
