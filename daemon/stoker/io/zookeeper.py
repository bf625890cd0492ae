"""A session with a ZooKeeper ensemble: the only place that makes a ZooKeeper client.

What kazoo does by itself (reconnecting, retries, locks) is used as far as it can be trusted: the state of the session is
ours to follow, because LOST is only told after a reconnection and kazoo's lock may believe in itself for longer than the
ensemble does (docs/high-availability.md).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kazoo.client import KazooClient, KazooState, TransactionRequest
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError, SequentialThreadingHandler
from kazoo.protocol.states import WatchedEvent, ZnodeStat
from kazoo.retry import KazooRetry
from kazoo.security import OPEN_ACL_UNSAFE, make_digest_acl

from stoker.errors import ConfigError

LOG = logging.getLogger("stoker.zookeeper")
RECONNECT_FIRST = 0.02  # seconds between two attempts to reach a member, doubling
RECONNECT_CAP = 1.0

# Whatever a call may fail with: the ensemble's answers, and silence.
ZooKeeperFailure = (KazooException, KazooTimeoutError)
Watch = Callable[[WatchedEvent], None]


class SessionState(Enum):
    CONNECTED = "connected"
    SUSPENDED = "suspended"  # not connected; the session may live on
    LOST = "lost"  # the session is over, and all its ephemeral nodes with it


@dataclass(frozen=True, kw_only=True)
class ZooKeeperTls:
    """PEM files: ``ca`` signs the members' certificates, which must name the hosts in the URL; ``chain`` and ``key`` are this
    master's own (empty: it has none)."""

    ca: str
    chain: str = ""
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class ZooKeeperSettings:
    """``hosts`` is ``h1:p1,h2:p2``, ``directory`` the node below which Stoker's nodes are, ``session_timeout`` in
    seconds, ``auth`` a digest identity ``USER:PASSWORD`` (empty: none, and the nodes are open to all)."""

    hosts: str
    directory: str
    session_timeout: float
    auth: str = ""
    tls: ZooKeeperTls | None = None  # None: everything goes in the clear, ``auth`` included


@dataclass(frozen=True, slots=True)
class Fence:
    """``path`` is at ``version`` as long as nobody else has taken the lead."""

    path: str
    version: int


class _Impatient(SequentialThreadingHandler):  # type: ignore[misc]
    """kazoo waits for a member to take a connection for as long as the session may be away, which a host that is gone, or a
    server that has just been started, can use up. Here each member gets its part of that time."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self._patience = patience  # seconds
        self._is_new = False  # the connection has not been answered on

    def create_connection(self, *args: Any, timeout: float, **kwargs: Any) -> Any:
        self._is_new = True
        return super().create_connection(*args, timeout=min(timeout, self._patience), **kwargs)

    def select(self, readers: Any, writers: Any, others: Any, timeout: float | None = None) -> Any:
        if self._is_new and readers and timeout is not None:
            timeout = min(timeout, self._patience)
        found = super().select(readers, writers, others, timeout)
        if found[0]:
            self._is_new = False
        return found


def _tls_options(tls: ZooKeeperTls | None) -> dict[str, Any]:
    """Return kazoo's options for TLS. Raises ConfigError for files that cannot be used."""
    if tls is None:
        return {}
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(tls.ca)
        if tls.chain:
            context.load_cert_chain(tls.chain, tls.key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        files = ", ".join(filter(None, (tls.ca, tls.chain, tls.key)))
        raise ConfigError(f"spark.stoker.zookeeper.tls.*: {files} cannot be used: {reason}") from None
    return {
        "use_ssl": True,
        "ca": tls.ca,
        "certfile": tls.chain or None,
        "keyfile": tls.key or None,
        "verify_certs": True,
        "check_hostname": True,
    }


def _no_password() -> str:
    raise ValueError("the key is encrypted: store it without a password, mode 0600")


class ZooKeeper:
    """One session; a session that is lost is followed by a new one. Methods may be called from any thread.

    ``on_state`` gets each change, on kazoo's own thread: it should only enqueue. No call waits longer than the session
    timeout; each raises one of ZooKeeperFailure.
    """

    def __init__(self, settings: ZooKeeperSettings, on_state: Callable[[SessionState], None]) -> None:
        logging.getLogger("kazoo").setLevel(logging.CRITICAL)  # what matters of it we say ourselves
        self.directory: str = "/" + settings.directory.strip("/")
        self.hosts: str = settings.hosts
        self.timeout: float = settings.session_timeout
        self._on_state = on_state
        user, _, password = settings.auth.partition(":")
        self.acl = [make_digest_acl(user, password, all=True)] if settings.auth else OPEN_ACL_UNSAFE
        retry = KazooRetry(max_tries=-1, delay=RECONNECT_FIRST, max_delay=RECONNECT_CAP, max_jitter=0.4)
        self._client = KazooClient(
            hosts=settings.hosts,
            timeout=settings.session_timeout,
            handler=_Impatient(settings.session_timeout / (settings.hosts.count(",") + 2)),
            default_acl=self.acl,
            auth_data=[("digest", settings.auth)] if settings.auth else None,
            connection_retry=retry,
            **_tls_options(settings.tls),
            command_retry=KazooRetry(max_tries=0),  # what is to be tried again is decided above
        )
        self._client.add_listener(self._changed)

    def start(self) -> None:
        """Begin to connect; returns at once. Raises ConfigError for hosts that cannot be."""
        try:
            self._client.start_async()
        except (ValueError, OSError) as error:
            raise ConfigError(f"spark.deploy.zookeeper.url {self.hosts!r}: {error}") from None

    def stop(self) -> None:
        """End the session: its ephemeral nodes go at once. A second call does nothing."""
        self._client.remove_listener(self._changed)
        self._client.stop()
        self._client.close()

    @property
    def is_connected(self) -> bool:
        return bool(self._client.connected)

    @property
    def session_id(self) -> int:
        """0 without a session."""
        held = self._client.client_id
        return int(held[0]) if held else 0

    def path(self, *names: str) -> str:
        return "/".join([self.directory.rstrip("/"), *names]) or "/"

    def ensure(self, *names: str) -> bool:
        """Make a lasting node and what is above it. A node from before an identity was set gets its ACL: True then."""
        path = self.path(*names)
        self._answer(self._client.ensure_path_async(path))
        if self.acl is OPEN_ACL_UNSAFE or self._answer(self._client.get_acls_async(path))[0] == self.acl:
            return False
        self._answer(self._client.set_acls_async(path, self.acl))
        return True

    def exists(self, path: str, watch: Watch | None = None) -> ZnodeStat | None:
        """``watch`` is called once when that has changed, on kazoo's thread."""
        return self._answer(self._client.exists_async(path, watch=watch))

    def get(self, path: str, watch: Watch | None = None) -> tuple[bytes, ZnodeStat]:
        data, found = self._answer(self._client.get_async(path, watch=watch))
        return data or b"", found

    def get_all(self, paths: Iterable[str]) -> list[bytes]:
        """The data of many nodes, asked for at once."""
        pending = [self._client.get_async(path) for path in paths]
        return [self._answer(one)[0] or b"" for one in pending]

    def children(self, path: str, watch: Watch | None = None) -> list[str]:
        found: list[str] = self._answer(self._client.get_children_async(path, watch=watch))
        return found

    def create_ephemeral(self, path: str, data: bytes) -> None:
        self._answer(self._client.create_async(path, data, ephemeral=True))

    def delete(self, path: str) -> None:
        self._answer(self._client.delete_async(path))

    def _answer(self, pending: Any) -> Any:
        """kazoo's own waiting has no end when a connection breaks at the wrong moment."""
        return pending.get(timeout=self.timeout)

    def transaction(self, fence: Fence | None = None) -> TransactionRequest:
        """With a fence, one that happens only while it stands."""
        transaction = self._client.transaction()
        if fence is not None:
            transaction.check(fence.path, version=fence.version)
        return transaction

    def commit(self, transaction: TransactionRequest) -> list[Any]:
        """The results of a transaction that happened. Raises what stopped it."""
        results: list[Any] = self._answer(transaction.commit_async())
        failures = [result for result in results if isinstance(result, Exception)]
        # The others only say that they were rolled back, or not looked at, because of the true one.
        for failure in sorted(failures, key=lambda found: type(found).__name__ in _ECHOES):
            raise failure
        return results

    def _changed(self, state: str) -> None:
        found = {KazooState.CONNECTED: SessionState.CONNECTED, KazooState.SUSPENDED: SessionState.SUSPENDED}
        self._on_state(found.get(state, SessionState.LOST))


_ECHOES = frozenset({"RolledBackError", "RuntimeInconsistency"})


def explain(error: BaseException) -> str:
    """A failure of ZooKeeper in words, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{f' ({text})' if text and text != '()' else ''}"
