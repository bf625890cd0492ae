"""``spark.deploy.recoveryMode ZOOKEEPER``: a journal of batches in ZooKeeper (ADR 11).

Below ``spark.deploy.zookeeper.dir``/records:

    journal/NNNNNNNNNN         a batch, in one node
    journal/NNNNNNNNNN.KKKK    the rest of a batch that is too large for one node, written before its first
    quarantine/record-NNNNNNNNNN  an unusable record: key, reason and bytes (more than one node for many bytes)

* A batch exists once its first node does: one write, all or nothing. ZooKeeper limits a request to 1 MB
  (jute.maxbuffer); a node here holds half of that.
* Every write checks the fence in the same transaction, so a deposed leader's write fails.
* From time to time a ``whole`` batch is written: it holds all records, and all earlier batches are removed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
from kazoo.client import TransactionRequest
from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError

from stoker.io.zookeeper import Fence, ZooKeeper, ZooKeeperFailure, explain
from stoker.recovery.base import RecoveryEngine, StorageFailed, Superseded
from stoker.recovery.seal import seal, unseal

LOG = logging.getLogger("stoker.recovery")
LAYOUT = b"1"  # of the nodes below ``records``; the data of that node
NODE = 512 * 1024  # bytes in one node
LEAST_REWRITE = 4 * 1024 * 1024  # bytes of journal below which replacing it is not worth the cost
MOST_ENTRIES = 2000  # batches in the journal; the next leader must read a node for each
REMOVE_AT_ONCE = 500  # nodes
_PUT, _DROP = b"+", b"-"
_HEAD = re.compile(r"\d{10}")
_NODE = re.compile(r"\d{10}(\.\d{4})?")


class _Batch(msgspec.Struct, array_like=True, frozen=True):
    """A batch. ``changes``: (key, sealed ``_PUT`` + value or ``_DROP``)."""

    whole: bool
    changes: list[tuple[bytes, bytes]]


class _Head(msgspec.Struct, array_like=True, frozen=True):
    """The first node of a batch: ``more`` is the number of nodes that hold the rest of ``piece``."""

    more: int
    piece: bytes


class _PutAside(msgspec.Struct, array_like=True, frozen=True):
    key: bytes
    reason: str
    data: bytes


_encoder = msgspec.msgpack.Encoder()
_batches = msgspec.msgpack.Decoder(_Batch)
_heads = msgspec.msgpack.Decoder(_Head)


@dataclass
class _Found:
    """The journal, as read from ZooKeeper."""

    records: dict[bytes, bytes] = field(default_factory=dict)
    unusable: list[tuple[bytes, str, bytes]] = field(default_factory=list)  # key, reason, sealed
    broken: list[tuple[str, str, bytes]] = field(default_factory=list)  # name of a node, reason, its data
    bytes: int = 0  # of the batches after the last whole one


class ZooKeeperRecovery(RecoveryEngine):
    """The journal in ZooKeeper; the constructor reads all records. ``fence`` is the leader's (``leader.zookeeper``). Raises
    StorageFailed."""

    def __init__(self, zookeeper: ZooKeeper, fence: Fence) -> None:
        self._zookeeper = zookeeper
        self._fence = fence
        self._closed = False
        self._doubtful: tuple[bytes, Mapping[bytes, bytes | None]] | None = None  # written without an answer
        self._names: dict[str, None] = {}  # nodes of the journal in order, to be removed when it is replaced
        try:
            were_open = self._prepare()
            found = self._load()
        except ZooKeeperFailure as error:
            raise StorageFailed(f"cannot read the records in {self._where}: {explain(error)}") from None
        self._records = found.records
        self._size = sum(len(key) + len(value) for key, value in found.records.items())
        self._written = found.bytes
        self._put_aside(found)
        if were_open or found.unusable or found.broken:
            self._replace()

    @property
    def _where(self) -> str:
        return f"ZooKeeper ({self._zookeeper.hosts}{self._zookeeper.path('records')})"

    def _path(self, *names: str) -> str:
        return self._zookeeper.path("records", *names)

    def _prepare(self) -> bool:
        """Prepare the nodes; return whether existing ones were readable by everybody until now."""
        were_open = [self._zookeeper.ensure("records", *names) for names in ((), ("journal",), ("quarantine",))]
        layout, found = self._zookeeper.get(self._path())
        if not layout:
            transaction = self._zookeeper.transaction(self._fence)
            transaction.set_data(self._path(), LAYOUT, version=found.version)
            self._commit(transaction)
        elif layout != LAYOUT:
            raise StorageFailed(
                f"the records in {self._where} are of layout {layout[:20].decode(errors='replace')}, this Stoker knows"
                f" {LAYOUT.decode()}: use the newer Stoker"
            )
        return any(were_open)

    # --- reading ---

    def _load(self) -> _Found:
        self._names = dict.fromkeys(sorted(self._zookeeper.children(self._path("journal"))))
        found_data = self._zookeeper.get_all(self._path("journal", name) for name in self._names)
        nodes = dict(zip(self._names, found_data, strict=True))
        heads = [name for name in nodes if _HEAD.fullmatch(name)]
        self._next = int(heads[-1]) + 1 if heads else 0
        found, batches = _Found(), {}
        for name, data in nodes.items():
            if not _NODE.fullmatch(name):
                found.broken.append((name, "it is not a batch written by Stoker", data))
        for name in heads:
            try:
                batches[name] = _assemble(name, nodes)
            except (msgspec.DecodeError, ValueError) as error:
                reason = f"the batch cannot be read: {' '.join(str(error).split())}"
                found.broken += [(part, reason, nodes[part]) for part in nodes if part.split(".")[0] == name]
        start = max((name for name, batch in batches.items() if batch.whole), default="")
        for name, batch in batches.items():
            if name >= start:
                found.bytes += _apply(found, batch) * (name > start)
        return found

    def read(self) -> dict[str, bytes]:
        self._check_open()
        return {key.decode(): value for key, value in self._records.items()}

    # --- writing ---

    def commit(self, writes: Mapping[str, bytes | None]) -> None:
        self._check_open()
        if not writes:
            return
        changes = {key.encode(): value for key, value in writes.items()}
        data = _encode(changes.items(), whole=False)
        try:
            self._settle_doubt()
            self._append(data, changes)
        except ZooKeeperFailure as error:
            raise self._write_failed(error) from None
        if self._written > max(LEAST_REWRITE, 2 * self._size) or len(self._names) > MOST_ENTRIES:
            self._replace()

    def _append(self, data: bytes, changes: Mapping[bytes, bytes | None]) -> None:
        pieces = [data[start : start + NODE] for start in range(0, len(data), NODE)]
        name = f"{self._next:010d}"
        for number, piece in enumerate(pieces[1:], 1):
            self._put(f"{name}.{number:04d}", piece)
        head = _encoder.encode(_Head(len(pieces) - 1, pieces[0]))
        self._doubtful = (head, changes)
        try:
            self._create(name, head)
        except NodeExistsError:  # only this master can have made it: the answer to an earlier attempt was lost
            if self._zookeeper.get(self._path("journal", name))[0] != head:
                raise
            self._names[name] = None
        self._done(len(data))

    def _done(self, size: int) -> None:
        """Book the batch in doubt as written."""
        assert self._doubtful is not None
        _, changes = self._doubtful
        self._doubtful = None
        self._next += 1
        self._written += size
        for key, value in changes.items():
            before = self._records.pop(key, None)
            self._size -= len(key) + len(before) if before is not None else 0
            if value is not None:
                self._records[key] = value
                self._size += len(key) + len(value)

    def _settle_doubt(self) -> None:
        """Find out whether the batch was written whose answer was lost."""
        if self._doubtful is None:
            return
        head, _ = self._doubtful
        name = f"{self._next:010d}"
        try:
            data, _ = self._zookeeper.get(self._path("journal", name))
        except NoNodeError:
            self._doubtful = None
            return
        if data != head:
            raise StorageFailed(f"{self._path('journal', name)} is from another program, which writes to {self._where}")
        self._names[name] = None
        self._done(len(head))

    def _create(self, name: str, data: bytes) -> None:
        transaction = self._zookeeper.transaction(self._fence)
        transaction.create(self._path("journal", name), data)
        self._commit(transaction)
        self._names[name] = None

    def _put(self, name: str, data: bytes) -> None:
        """Write a node; one may be left over from a failed attempt."""
        try:
            self._create(name, data)
        except NodeExistsError:
            transaction = self._zookeeper.transaction(self._fence)
            transaction.set_data(self._path("journal", name), data)
            self._commit(transaction)

    def _commit(self, transaction: TransactionRequest) -> None:
        try:
            self._zookeeper.commit(transaction)
        except BadVersionError:
            raise Superseded("another master leads: ZooKeeper rejects this master's records") from None

    def _write_failed(self, error: BaseException) -> StorageFailed:
        return StorageFailed(f"cannot write to {self._where}: {explain(error)}")

    # --- keeping the journal short ---

    def _replace(self) -> None:
        """Write all records as one whole batch, and remove the earlier nodes. A failure is harmless: the old journal is
        still valid, and the next commit tries again."""
        before = list(self._names)
        try:
            data = _encode(self._records.items(), whole=True)
            self._append(data, {})
            self._written = 0
            self._remove(before)
            for name in before:
                del self._names[name]
        except Superseded:
            raise
        except (StorageFailed, *ZooKeeperFailure) as error:
            LOG.warning("the journal in %s could not be shortened: %s", self._where, error)

    def _remove(self, names: list[str]) -> None:
        for start in range(0, len(names), REMOVE_AT_ONCE):
            transaction = self._zookeeper.transaction(self._fence)
            for name in names[start : start + REMOVE_AT_ONCE]:
                transaction.delete(self._path("journal", name))
            self._commit(transaction)

    # --- what cannot be used ---

    def quarantine(self, key: str, reason: str) -> None:
        self._check_open()
        data = self._records.get(key.encode())
        if data is not None:
            self._keep_aside(key.encode(), reason, data)
            self.commit({key: None})

    def _put_aside(self, found: _Found) -> None:
        """Keep unreadable records, and name them in the log."""
        for key, reason, sealed in found.unusable:
            self._keep_aside(key, reason, sealed)
        for name, reason, data in found.broken:
            self._keep_aside(f"journal/{name}".encode(), reason, data)

    def _keep_aside(self, key: bytes, reason: str, data: bytes) -> None:
        name = key.decode(errors="backslashreplace")
        LOG.error("record %s is put aside, below %s: %s", name, self._path("quarantine"), reason)
        try:
            for start in range(0, max(1, len(data)), NODE):
                transaction = self._zookeeper.transaction(self._fence)
                node = _encoder.encode(_PutAside(key, reason, data[start : start + NODE]))
                transaction.create(self._path("quarantine", "record-"), node, sequence=True)
                self._commit(transaction)
        except ZooKeeperFailure as error:
            raise self._write_failed(error) from None

    # --- the end ---

    def close(self) -> None:
        """Close the engine only: the session belongs to the election, which ends it."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StorageFailed(f"the records in {self._where} are closed")


def _encode(changes: Iterable[tuple[bytes, bytes | None]], *, whole: bool) -> bytes:
    sealed = [(key, seal(key, _DROP if value is None else _PUT + value)) for key, value in changes]
    return _encoder.encode(_Batch(whole, sealed))


def _assemble(name: str, nodes: Mapping[str, bytes]) -> _Batch:
    """Return the batch whose first node has this name. Raises DecodeError or ValueError if it is not a batch."""
    head = _heads.decode(nodes[name])
    pieces = [head.piece]
    for number in range(1, head.more + 1):
        piece = nodes.get(f"{name}.{number:04d}")
        if piece is None:
            raise ValueError(f"part {number} of {head.more} is missing")
        pieces.append(piece)
    return _batches.decode(b"".join(pieces))


def _apply(found: _Found, batch: _Batch) -> int:
    """Apply a batch; return its size in bytes. If a record is damaged, its older value is dropped, too: it is outdated."""
    size = 0
    if batch.whole:
        found.records.clear()
    for key, sealed in batch.changes:
        size += len(key) + len(sealed)
        content = unseal(key, sealed)
        if content is None or not _is_text(key):
            found.unusable.append((key, "it is torn, or not of this version", sealed))
            found.records.pop(key, None)
        elif content[:1] == _PUT:
            found.records[key] = content[1:]
        else:
            found.records.pop(key, None)
    return size


def _is_text(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True
