"""Records to bytes and back, for every recovery engine: MessagePack; the first part of a key names its record's type."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from stoker.core.model.records import (
    AppRecord,
    ArrayRecord,
    Counters,
    DriverRecord,
    ExecutorRecord,
    Record,
    TaskChunk,
    UsageRecord,
    WorkerRecord,
)
from stoker.errors import ProtocolError
from stoker.recovery.base import RecoveryEngine

_TYPES: dict[str, type[Record]] = {
    "driver": DriverRecord,
    "array": ArrayRecord,
    "tasks": TaskChunk,
    "app": AppRecord,
    "executor": ExecutorRecord,
    "worker": WorkerRecord,
    "usage": UsageRecord,
    "meta": Counters,
}
_encoder = msgspec.msgpack.Encoder()
_decoders = {prefix: msgspec.msgpack.Decoder(kind) for prefix, kind in _TYPES.items()}


def encode_record(record: Record) -> bytes:
    return _encoder.encode(record)


def decode_record(key: str, data: bytes) -> Record:
    """Decode a record. Raises ProtocolError for one that this version cannot read: quarantine it, recover the rest."""
    decoder = _decoders.get(key.partition("/")[0])
    if decoder is None:
        raise ProtocolError(f"record {key!r} is of an unknown kind")
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, ValueError) as error:
        raise ProtocolError(f"record {key!r} cannot be read: {error}") from None


def encode_writes(writes: Mapping[str, Record | None]) -> dict[str, bytes | None]:
    """Encode a batch's writes for an engine."""
    return {key: None if record is None else encode_record(record) for key, record in writes.items()}


def read_records(engine: RecoveryEngine) -> dict[str, Record]:
    """Return an earlier master's records. An unreadable record is put aside and named in the log; the others are used.

    Raises StorageFailed."""
    records: dict[str, Record] = {}
    for key, data in engine.read().items():
        try:
            records[key] = decode_record(key, data)
        except ProtocolError as error:
            engine.quarantine(key, str(error))
    return records
