"""HOST:PORT, as it is shown, typed and compared. An IPv6 address is in brackets: ``[::1]:7077``."""

from __future__ import annotations


def bracketed(host: str) -> str:
    """Return a host as written before ``:PORT`` and in URLs: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def address_of(host: str, port: int | str) -> str:
    """Return HOST:PORT."""
    return f"{bracketed(host)}:{port}"


def canonical_host(host: str) -> str:
    """Return one text for all spellings of a host: lower case, without brackets, IPv6 in its short form."""
    host = host.lower().removeprefix("[").removesuffix("]")
    if ":" not in host:
        return host
    from ipaddress import IPv6Address  # noqa: PLC0415 - most clusters have names or IPv4, and commands start faster without

    try:
        return str(IPv6Address(host))
    except ValueError:
        return host


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback name or address. No name server is asked: another name is not."""
    host = host.lower().removeprefix("[").removesuffix("]")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    from ipaddress import ip_address  # noqa: PLC0415 - as above

    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def names_address(name: str, host: str, port: int) -> bool:
    """Return whether a user's ``name`` (HOST, HOST:PORT, [V6], [V6]:PORT or a bare V6) names this address."""
    if canonical_host(name) == canonical_host(host):
        return True
    before, colon, after = name.rpartition(":")
    is_bare = ":" in before and not before.endswith("]")  # the last part of an IPv6 address is not a port
    return bool(colon) and not is_bare and after == str(port) and canonical_host(before) == canonical_host(host)
