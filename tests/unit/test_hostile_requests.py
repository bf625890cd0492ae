"""Requests at and over the limits, where daemons use files: refused or answered; the daemon never stops."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stoker.core.model.messages import BlobData, FetchBlob, GetStatus, Message, SubmitDriver
from stoker.core.model.values import Artifact, DriverDescription, Exit
from stoker.core.worker.jobs import DriverJob
from stoker.errors import ProtocolError
from stoker.master.blobs import BlobStore
from stoker.wire import codec
from stoker.worker.jobs.cache import BlobCache
from stoker.worker.jobs.prepare import Preparer


@pytest.mark.parametrize("message", [GetStatus(request=2**70), GetStatus(request=1, id="\udcff")])
def test_what_messagepack_cannot_carry_is_an_error_of_ours(message: Message) -> None:
    with pytest.raises(ProtocolError, match="GetStatus cannot be sent"):
        codec.encode(message)


def test_an_argument_that_is_not_text_is_named() -> None:
    with pytest.raises(ProtocolError) as caught:
        codec.encode(GetStatus(request=1, id="driver\udcff"))
    assert str(caught.value) == "GetStatus cannot be sent: 'driver\\udcff' is not UTF-8 text"


def test_a_refusal_quotes_little_of_the_peer_and_nothing_unprintable() -> None:
    body = b"\x82\xa4type\xa9GetStatus\xa7request\xda\xff\xff" + b"\n\x1b[2J" * 13107
    for broken in (body, b"\x81\xa4type\xda\xff\xff" + b"\n\x1b[2J" * 13107):
        with pytest.raises(ProtocolError) as caught:
            codec.to_master.decode([codec.HEADER, broken])
        assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("offset", "limit", "expected"),
    [
        (0, 100, b"content"),
        (3, 2, b"te"),
        (7, 100, b""),
        (2**62, 100, b""),
        (2**64 - 1, 100, b""),
        (-(2**63), 100, b"content"),
        (0, -1, b""),
        (0, 2**64 - 1, b"content"),
    ],
)
def test_an_upload_is_read_at_any_offset(tmp_path: Path, offset: int, limit: int, expected: bytes) -> None:
    sha256 = hashlib.sha256(b"content").hexdigest()
    (tmp_path / sha256).write_bytes(b"content")
    answers: list[Any] = []
    store = BlobStore(
        tmp_path, max_bytes=100, reply=lambda _, message: answers.append(message), in_loop=lambda function: function()
    )
    store.fetch(b"w", FetchBlob(request=1, sha256=sha256, offset=offset, limit=limit))
    store.close()
    assert answers == [BlobData(request=1, sha256=sha256, offset=offset, size=7, data=expected)]


@pytest.mark.parametrize(
    "url", ["http://[x/a", "local:/a%00b", "file:/a%00b", "file:/no/such/file", "gopher://h/a", "no url at all"]
)
def test_a_url_that_is_none_fails_the_driver_only(tmp_path: Path, url: str) -> None:
    driver = DriverDescription(kind="program", main="t", artifacts=(Artifact(name="t", url=url),))
    ended: list[tuple[str, Exit]] = []
    loop: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    preparer = Preparer(
        tmp_path,
        (),
        BlobCache(tmp_path / "cache", lambda _: True),
        environ={},
        prepared=lambda key: ended.append((key, Exit(code=0))),
        failed=lambda key, exit: ended.append((key, exit)),
        in_loop=loop.put,
    )
    assert SubmitDriver(request=1, token="t", driver=driver) == codec.to_master.decode(
        codec.encode(SubmitDriver(request=1, token="t", driver=driver))
    ), "it comes through the master like any other"
    job = DriverJob(key="k", cores=1, memory_mib=1, driver_id="driver-20270101000000-0000", attempt=1, driver=driver)
    preparer.prepare(job)
    while not ended:
        loop.get(timeout=30)()
    preparer.close()
    ((key, exit),) = ended
    assert key == "k" and exit.code is None and exit.reason.isprintable() and exit.reason
