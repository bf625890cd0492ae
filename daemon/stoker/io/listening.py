"""Listening: which ports are tried, and the errors when none of them is free. For daemons only."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterator

import zmq

from stoker.core.model.addresses import address_of
from stoker.errors import ConfigError
from stoker.io.transport import LAST_PORT

LOG = logging.getLogger("stoker.io")
BACKLOG = 4096  # connections waiting to be accepted: a whole cluster may come back at once


def candidate_ports(port: int, max_retries: int) -> Iterator[int]:
    """``port`` and those tried after it; 0, any free one, alone. Past the last port Spark goes on at 1024 (spec 1)."""
    for offset in range((max_retries if port else 0) + 1):
        yield port + offset if port + offset <= LAST_PORT else 1024 + (port + offset - LAST_PORT - 1)


def bind(sock: zmq.Socket[bytes], host: str, port: int, max_retries: int) -> int:
    numeric = numeric_host(host)
    sock.set(zmq.IPV6, int(":" in numeric))
    for candidate in candidate_ports(port, max_retries):
        try:
            sock.bind(f"tcp://{address_of(numeric, candidate or '*')}")
        except zmq.ZMQError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise explain_bind(host, candidate, error) from None
        endpoint = str(sock.get_string(zmq.LAST_ENDPOINT))
        warn_of_other_port(host, port, candidate)
        return int(endpoint.rstrip("\0").rpartition(":")[2])
    raise no_free_port(host, port, max_retries)


def hand_over(listener: socket.socket, sock: zmq.Socket[bytes]) -> None:
    """Have ``sock`` accept the connections of a listening TCP socket, and close it at the end."""
    sock.set(zmq.IPV6, int(listener.family == socket.AF_INET6))
    sock.set(zmq.USE_FD, listener.detach())
    sock.bind("tcp://127.0.0.1:*")  # of which nothing is used but the kind of socket


def warn_of_other_port(host: str, port: int, used: int) -> None:
    """Log that ``used`` is listened on because ``port``, which was asked for, is taken."""
    if used != port:
        LOG.warning("port %d at %s is taken by another program: listening on port %d instead", port, host, used)


def no_free_port(host: str, port: int, max_retries: int) -> ConfigError:
    tried = (max_retries if port else 0) + 1
    if tried == 1:
        return ConfigError(
            f"port {port} at {host} is taken: stop the program that listens there, or choose another with --port"
        )
    return ConfigError(f"no free port at {host} from {port} on ({tried} tried): choose another with --port")


def explain_bind(host: str, port: int, error: OSError | zmq.ZMQError) -> ConfigError:
    return ConfigError(_bind_problem(host, port, error))


def _bind_problem(host: str, port: int, error: OSError | zmq.ZMQError) -> str:
    if error.errno in {errno.EADDRNOTAVAIL, errno.ENODEV}:
        return f"{host} is not an address of this machine: choose another with --host"
    if error.errno == errno.EACCES:
        return f"port {port} needs root: choose one over 1023 with --port"
    return f"cannot listen at {address_of(host, port)} ({error.strerror}): choose another with --host and --port"


def numeric_host(host: str) -> str:
    """Return the numeric address of a host, because libzmq binds to addresses only. IPv4 is preferred: links to a name
    try it first."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ConfigError(f"cannot find the host {host}: choose another with --host") from None
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])
