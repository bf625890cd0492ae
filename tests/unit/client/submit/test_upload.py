"""Uploads and submissions against the master's own blob store, and masters whose connection fails."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stoker.client.api import Client
from stoker.client.submit import submitting
from stoker.client.submit import upload as upload_module
from stoker.client.submit.sources import FileIndex
from stoker.config.client import ClientConfig
from stoker.core.model.messages import (
    Failed,
    FindMissingBlobs,
    Message,
    MissingBlobs,
    SubmitDriver,
    Submitted,
    UploadChunk,
)
from stoker.errors import Refused, StokerError, Unreachable
from stoker.master.blobs import BlobStore
from tests.support.scripted_master import ScriptedMaster


class Storing:
    """A script: a master with a real blob store, which numbers submissions. ``hook`` may take a message over."""

    def __init__(self, folder: Path, *, max_bytes: int = 1 << 30) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.hook: Callable[[ScriptedMaster, bytes, Message], bool] = lambda master, peer, message: False
        self.store: BlobStore | None = None
        self.tokens: dict[str, str] = {}

    def __call__(self, master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if self.store is None:
            self.store = BlobStore(
                self.folder, max_bytes=self.max_bytes, reply=master.send, in_loop=master.loop.call_soon_threadsafe
            )
        if self.hook(master, peer, message):
            return
        if isinstance(message, UploadChunk):
            self.store.receive(peer, message)
        elif isinstance(message, FindMissingBlobs):
            self.store.ask(peer, message)
        elif isinstance(message, SubmitDriver):
            if missing := self.store.missing(message.driver):
                master.send(peer, MissingBlobs(request=message.request, sha256s=missing))
            else:
                number = len(self.tokens)
                driver_id = self.tokens.setdefault(message.token, f"driver-20260101000000-{number:04}")
                master.send(peer, Submitted(request=message.request, driver_id=driver_id))

    def close(self) -> None:
        if self.store is not None:
            self.store.close()


@pytest.fixture
def storing(tmp_path: Path) -> Iterator[Storing]:
    script = Storing(tmp_path / "blobs")
    yield script
    script.close()


@pytest.fixture
def client(tmp_path: Path, storing: Storing) -> Iterator[Client]:
    with ExitStack() as stack:
        master = stack.enter_context(ScriptedMaster(tmp_path / "keys", storing))
        config = ClientConfig(masters=(master.address,), keys_dir=master.keys.folder, authenticate=True)
        client = stack.enter_context(Client(config=config))
        client.scripted = master  # type: ignore[attr-defined]
        yield client


def seen(client: Client, kind: type[Message]) -> int:
    return len(client.scripted.got(kind))  # type: ignore[attr-defined]


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("size", [0, 1, upload_module.CHUNK, 20 * upload_module.CHUNK + 1])
def test_what_arrives_is_what_was_there(client: Client, storing: Storing, tmp_path: Path, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    app = write(tmp_path / "job.py", content)
    assert client.submit(app) == "driver-20260101000000-0000"
    stored = storing.folder / hashlib.sha256(content).hexdigest()
    assert stored.read_bytes() == content


def test_a_known_file_takes_one_round_trip(client: Client, tmp_path: Path) -> None:
    app = write(tmp_path / "job.py", b"print()")
    client.submit(app)
    assert (seen(client, SubmitDriver), seen(client, UploadChunk)) == (2, 1)
    client.submit(app)
    assert (seen(client, SubmitDriver), seen(client, UploadChunk), seen(client, FindMissingBlobs)) == (3, 1, 0)


def test_a_file_over_the_limit_is_refused_in_the_masters_words(
    client: Client, storing: Storing, tmp_path: Path
) -> None:
    storing.max_bytes = 10
    app = write(tmp_path / "job.py", b"x" * 11)
    with pytest.raises(Refused, match=rf"^{app}: the file has 11 bytes; the limit is 10 bytes"):
        client.submit(app)


def test_a_large_file_over_the_limit_is_neither_read_nor_sent(client: Client, tmp_path: Path) -> None:
    app = tmp_path / "job.py"
    app.touch()
    os.truncate(app, 3 << 30)
    start = time.monotonic()
    with pytest.raises(Refused, match=rf"^{app}: the file has {3 << 30} bytes; the limit is {1 << 30} bytes"):
        client.submit(str(app))
    assert time.monotonic() - start < 1.0, "reading 3 GiB takes longer"
    assert seen(client, SubmitDriver) == seen(client, UploadChunk) == 0


def test_a_master_of_an_earlier_release_is_asked_in_vain(
    client: Client, storing: Storing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_limit(master: ScriptedMaster, peer: bytes, message: Message) -> bool:
        if isinstance(message, FindMissingBlobs):
            master.send(peer, MissingBlobs(request=message.request, sha256s=()))
        return isinstance(message, FindMissingBlobs)

    monkeypatch.setattr(submitting, "LARGE", 10)
    storing.hook, storing.max_bytes = without_limit, 10
    with pytest.raises(Refused, match="the file has 11 bytes; the limit is 10 bytes"):
        client.submit(write(tmp_path / "job.py", b"x" * 11))
    assert seen(client, FindMissingBlobs) == seen(client, UploadChunk) == 1


def test_a_file_that_changes_meanwhile_is_not_taken(client: Client, tmp_path: Path) -> None:
    app = write(tmp_path / "job.py", b"before")
    driver = client.describe(app)
    write(tmp_path / "job.py", b"behind")
    with pytest.raises(Refused, match="changed while it was uploaded"):
        client.submit(driver)
    assert client.submit(app), "read again, it is what it is"


def test_a_file_that_becomes_shorter_meanwhile_is_not_taken(client: Client, storing: Storing, tmp_path: Path) -> None:
    pieces = 30
    app = write(tmp_path / "job.py", b"x" * (pieces * upload_module.CHUNK))

    def truncate(master: ScriptedMaster, peer: bytes, message: Message) -> bool:
        if not isinstance(message, UploadChunk):
            return False
        os.truncate(app, 0)
        is_too_much = len(master.got(UploadChunk)) > pieces
        if is_too_much:
            master.send(peer, Failed(request=message.request, reason="the file has no more pieces"))
        return is_too_much

    storing.hook = truncate
    with pytest.raises(StokerError, match=rf"^{app} became shorter while it was uploaded: submit it again"):
        client.submit(app)


def test_a_file_that_is_gone(client: Client, tmp_path: Path) -> None:
    driver = client.describe(write(tmp_path / "job.py", b"before"))
    (tmp_path / "job.py").unlink()
    with pytest.raises(StokerError, match=r"cannot read .*job\.py: No such file"):
        client.submit(driver)


def test_an_upload_that_broke_is_begun_again(storing: Storing, tmp_path: Path) -> None:
    content = b"y" * (30 * upload_module.CHUNK)
    app = write(tmp_path / "job.py", content)

    def first(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, SubmitDriver):
            master.send(peer, MissingBlobs(request=message.request, sha256s=(message.driver.artifacts[0].sha256,)))
        else:
            master.loop.stop()

    keys = tmp_path / "keys"
    with ScriptedMaster(keys, first) as one, ScriptedMaster(keys, storing) as two:
        config = ClientConfig(masters=(one.address, two.address), keys_dir=keys, authenticate=True)
        with Client(config=config) as client:
            assert client.submit(app)
    assert (storing.folder / hashlib.sha256(content).hexdigest()).read_bytes() == content


def test_a_link_that_breaks_every_time_is_not_tried_for_ever(
    client: Client, storing: Storing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = write(tmp_path / "job.py", b"x" * upload_module.CHUNK * 3)
    monkeypatch.setattr(upload_module._Transfer, "run", lambda self: False)
    with pytest.raises(Unreachable, match="lost 5 times during"):
        client.submit(app)


def test_a_master_that_forgets_what_it_was_given(client: Client, storing: Storing, tmp_path: Path) -> None:
    def forget(master: ScriptedMaster, peer: bytes, message: Message) -> bool:
        if isinstance(message, SubmitDriver):
            names = tuple(artifact.sha256 for artifact in message.driver.artifacts)
            master.send(peer, MissingBlobs(request=message.request, sha256s=names))
            return True
        return False

    storing.hook = forget
    app = write(tmp_path / "job.py", b"x")
    for submit in (client.submit, lambda app: client.submit_many([client.describe(app)])):
        with pytest.raises(Refused, match="does not keep the files"):
            submit(app)


def test_many_at_once_keep_their_order(
    client: Client, storing: Storing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "WINDOW", 7)
    book = [
        client.describe(write(tmp_path / f"job{number}.py", str(number).encode()), str(number)) for number in range(30)
    ]
    ids = client.submit_many(book)
    assert len(set(ids)) == 30
    submitted = {message.token: message.driver.args[0] for message in client.scripted.got(SubmitDriver)}  # type: ignore[attr-defined]
    by_id = {storing.tokens[token]: args for token, args in submitted.items()}
    assert [by_id[driver_id] for driver_id in ids] == [str(number) for number in range(30)]
    assert seen(client, FindMissingBlobs) == 0, "submissions come first, as with one"


def test_the_first_of_many_shows_what_is_missing(client: Client, tmp_path: Path) -> None:
    driver = client.describe(write(tmp_path / "job.py", b"the same for all"))
    assert len(client.submit_many([driver] * 50)) == 50
    assert (seen(client, SubmitDriver), seen(client, UploadChunk)) == (51, 1)


def test_a_master_that_misses_nothing_in_particular(client: Client, storing: Storing, tmp_path: Path) -> None:
    def nothing(master: ScriptedMaster, peer: bytes, message: Message) -> bool:
        master.send(peer, MissingBlobs(request=message.request, sha256s=()))  # type: ignore[attr-defined]
        return True

    storing.hook = nothing
    driver = client.describe("local:/bin/job")
    with pytest.raises(Refused, match="does not keep the files"):
        client.submit_many([driver])
    with pytest.raises(Refused, match="does not keep the files"):
        client.submit_watched(driver)


def test_one_refusal_of_many_says_how_far_it_came(client: Client, storing: Storing) -> None:
    def refuse(master: ScriptedMaster, peer: bytes, message: Message) -> bool:
        if isinstance(message, SubmitDriver) and message.driver.args == ("4",):
            master.send(peer, Failed(request=message.request, reason="not this one"))
            return True
        return False

    storing.hook = refuse
    book = [client.describe("local:/bin/job", str(number)) for number in range(5)]
    with pytest.raises(Refused, match=r"^4 of 5 are submitted, the next is refused: not this one$"):
        client.submit_many(book)


def test_the_bar_follows_the_upload(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with upload_module._Progress("model.bin", upload_module.NOTICEABLE) as progress:
        progress.show(upload_module.NOTICEABLE // 2)
        progress.show(upload_module.NOTICEABLE)
    shown = capsys.readouterr().err
    assert "model.bin" in shown
    assert "8.00M" in shown
    with upload_module._Progress("small.py", 10) as progress:
        progress.show(10)
    assert capsys.readouterr().err == ""


def test_paths_are_remembered_by_content(tmp_path: Path) -> None:
    book = FileIndex()
    one = book.source(write(tmp_path / "a.py", b"same"))
    two = book.source(write(tmp_path / "b.py", b"same"))
    assert one.artifact.sha256 == two.artifact.sha256
    assert book.path_of(one.artifact.sha256) == tmp_path / "b.py"
