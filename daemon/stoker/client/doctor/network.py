"""Checks of names and connections: this machine's names both ways, the masters, and the addresses that daemons advertise."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import socket
import ssl
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from stoker.client.doctor.finding import Finding, each
from stoker.core.model.addresses import address_of, is_loopback
from stoker.core.model.views import ClusterView, WorkerView

WITHIN = 3.0  # seconds for one connection
MOST_SKEW = 5.0  # seconds between two clocks; tokens and times on pages are wrong by as much
_GREETING = b"\xff\0\0\0\0\0\0\0\0\x7f"  # the signature of ZeroMQ's ZMTP 3 (RFC 23)


def names(host: str, *, alone: bool) -> list[Finding]:
    """Whether the name leads to addresses, and these back to the name. ``alone``: no other machine needs this name."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        fix = f"add {host} to the name service, or to /etc/hosts of every machine"
        return [Finding("names", "warning" if alone else "problem", f"{host} is unknown: {error.strerror}", fix)]
    addresses = sorted(found)
    if not alone and all(is_loopback(address) for address in addresses):
        fix = f"give {host} the address that other machines reach in /etc/hosts, or set SPARK_LOCAL_IP"
        return [Finding("names", "problem", f"{host} is {', '.join(addresses)}, which no other machine reaches", fix)]
    return [_reverse(host, address) for address in addresses if alone or not is_loopback(address)]


def _reverse(host: str, address: str) -> Finding:
    try:
        name = socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
    except OSError:
        text = f"{host} is {address}, which has no name"
        return Finding("names", "warning", text, f"add a reverse entry for {address}; engines such as Spark show it")
    with contextlib.suppress(OSError):
        if address in {entry[4][0] for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}:
            return Finding("names", "ok", f"{host} is {address}, and {address} is {name}")
    text = f"{host} is {address}, and {address} is {name}, which is another address"
    return Finding("names", "warning", text, f"make the entries for {host}, {address} and {name} agree")


def masters(addresses: tuple[str, ...]) -> list[Finding]:
    """Whether each master's address accepts connections, and Stoker answers there."""
    return [_master(*split(address)) for address in addresses]


def _master(host: str, port: int) -> Finding:
    finding = reached("masters", f"master {address_of(host, port)}", host, port)
    if finding.level == "ok" and not speaks_stoker(host, port):
        text = f"{address_of(host, port)} accepts connections, but is not a Stoker master"
        return Finding("masters", "problem", text, "correct the master URL, or stop the other program")
    return finding


def reached(check: str, what: str, host: str, port: int) -> Finding:
    """Connect to an address, as the other side would."""
    begun = time.monotonic()
    try:
        with socket.create_connection((host, port), WITHIN):
            return Finding(check, "ok", f"{what} accepts connections ({1000 * (time.monotonic() - begun):.1f} ms)")
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
    fix = f"start it, open port {port} in the firewall, or have it listen at an address that this machine reaches"
    return Finding(check, "problem", f"{what} is not reachable from here: {reason}", fix)


def speaks_stoker(host: str, port: int) -> bool:
    """Return whether ZeroMQ answers at that address."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), WITHIN) as connection:
        connection.settimeout(WITHIN)
        connection.sendall(_GREETING)
        return connection.recv(1) == b"\xff"
    return False


def split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def advertised(cluster: ClusterView, hosts: Sequence[str]) -> list[Finding]:
    """Whether this machine reaches what the daemons advertise: the leader's dashboard, and the port and the dashboard of the
    live workers of ``hosts``; if there are none, of ten workers."""
    live = [worker for worker in cluster.workers if worker.is_live]
    workers = [worker for worker in live if worker.host in hosts] if hosts else live[:10]
    return [
        *_dashboard("dashboard of the master", cluster.webui_url),
        *each("addresses", workers, _advertised_by),
    ]


def _advertised_by(worker: WorkerView) -> list[Finding]:
    return [
        reached("addresses", f"worker {worker.address}", worker.host, worker.port),
        *_dashboard(f"dashboard of {worker.address}", worker.webui_url),
    ]


def _dashboard(what: str, url: str) -> list[Finding]:
    parts = urlsplit(url)
    if not parts.hostname:
        return []
    finding = reached("addresses", f"{what} at {url}", parts.hostname, parts.port or 80)
    if finding.level == "problem":  # dashboards may be for their own machine alone
        fix = f"{finding.fix} (spark.stoker.web.host, SPARK_PUBLIC_DNS)"
        return [Finding("addresses", "warning", finding.found, fix)]
    return [finding]


def clock(cluster: ClusterView) -> list[Finding]:
    """Compare this machine's clock with the leader's, which its dashboard says in whole seconds."""
    parts = urlsplit(cluster.webui_url)
    theirs = None
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        theirs = _date(parts.scheme, parts.hostname or "", parts.port)
    if theirs is None:
        text = "not measured: the master's dashboard does not answer this machine"
        return [Finding("clock", "skipped", text)]
    skew = time.time() - theirs - 0.5
    if abs(skew) <= MOST_SKEW:
        return [Finding("clock", "ok", f"within {max(1.0, abs(skew)):.0f} s of the master's")]
    text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the master's"
    return [Finding("clock", "problem", text, "synchronise the clocks: chrony, or systemd-timesyncd, on every machine")]


def _date(scheme: str, host: str, port: int | None) -> float | None:
    connection: http.client.HTTPConnection
    if scheme == "https":
        # Only the time is read, and nothing is sent: any certificate will do.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(host, port, timeout=WITHIN, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=WITHIN)
    with contextlib.closing(connection):
        connection.request("GET", "/healthz")
        text = connection.getresponse().getheader("Date")
    return email.utils.parsedate_to_datetime(text).timestamp() if text else None
