"""An earlier master's records: one that this version cannot read is put aside, and the others are used."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.core.model.records import Counters
from stoker.recovery.filesystem import FilesystemRecovery
from stoker.recovery.records import encode_record, read_records


@pytest.mark.parametrize(
    ("key", "data"), [("driver/1", b"\xc1"), ("driver/1", encode_record(Counters())[:-1]), ("tea/1", b"\x80")]
)
def test_an_unreadable_record_is_put_aside(tmp_path: Path, key: str, data: bytes) -> None:
    engine = FilesystemRecovery(tmp_path)
    try:
        engine.commit({"meta/counters": encode_record(Counters()), key: data})
        assert read_records(engine) == {"meta/counters": Counters()}
        assert list(engine.read()) == ["meta/counters"]
        kept = engine._connection.execute("SELECT CAST(key AS TEXT), value FROM quarantine").fetchall()
    finally:
        engine.close()
    assert [name for name, _ in kept] == [key]
    assert data in kept[0][1]
