"""Uploads local files to the master: named by their SHA-256, in chunks, several of them under way at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import msgspec

from stoker.client.session.session import Session
from stoker.client.submit.sources import FileIndex
from stoker.core.model.messages import Failed, Message, UploadChunk, UploadStatus
from stoker.errors import StokerError, Unreachable

CHUNK = 256 * 1024  # bytes
WINDOW = 8  # chunks without an answer
ATTEMPTS = 5  # connections lost in the middle of one file
NOTICEABLE = 8 * 1024 * 1024  # bytes; smaller files are uploaded before a progress bar appears


def upload(session: Session, book: FileIndex, sha256s: Iterable[str]) -> None:
    """Upload these files. Raises Refused (too large, no space), StokerError (the file changed), Unreachable."""
    for sha256 in dict.fromkeys(sha256s):
        path = book.path_of(sha256)
        try:
            with path.open("rb") as file:
                _send(session, _Upload(path, file, sha256, os.fstat(file.fileno()).st_size))
        except OSError as error:
            raise StokerError(f"cannot read {path}: {error.strerror}") from None
        except StokerError:
            book.forget(path)
            raise


class _Upload(msgspec.Struct, frozen=True):
    path: Path
    file: BinaryIO
    sha256: str
    size: int


def _send(session: Session, what: _Upload) -> None:
    with _Progress(what.path.name, what.size) as progress:
        for _ in range(ATTEMPTS):
            if _Transfer(session, what, progress).run():
                return
    raise Unreachable(f"{what.path}: the connection was lost {ATTEMPTS} times during its upload: give a URL instead")


class _Transfer:
    """One try over one connection. The master takes the pieces in order and answers each."""

    def __init__(self, session: Session, what: _Upload, progress: _Progress) -> None:
        self._session = session
        self._what = what
        self._progress = progress
        self._sent = 0
        self._under_way = 0
        self._refusal: Failed | None = None
        self._complete = False
        self._lost = False

    def run(self) -> bool:
        """Upload the file; return False when the connection was lost."""
        self._session.connect()
        self._what.file.seek(0)
        self._progress.show(0)
        self._send_more()
        self._session.wait(lambda: self._complete or self._lost or self._refusal is not None)
        if self._refusal is not None:
            try:
                self._session.checked(self._refusal)
            except StokerError as error:
                raise type(error)(f"{self._what.path}: {error}") from None
        return self._complete

    def _send_more(self) -> None:
        while self._under_way < WINDOW and not self._lost and (self._sent < self._what.size or self._sent == 0):
            data = self._what.file.read(min(CHUNK, self._what.size - self._sent))
            if not data and self._what.size:
                raise StokerError(f"{self._what.path} became shorter while it was uploaded: submit it again")
            message = UploadChunk(
                request=0, sha256=self._what.sha256, size=self._what.size, offset=self._sent, data=data
            )
            self._sent += len(data)
            self._under_way += 1
            self._session.ask(message, self._answered, on_lost=self._on_lost)
            if not self._what.size:
                return

    def _answered(self, answer: Message) -> bool:
        self._under_way -= 1
        if isinstance(answer, Failed):
            self._refusal = self._refusal or answer
        elif isinstance(answer, UploadStatus):
            self._complete = self._complete or answer.complete
            self._progress.show(answer.received)
            if not self._complete and self._refusal is None:
                self._send_more()
        return True

    def _on_lost(self) -> None:
        self._lost = True


class _Progress:
    """A bar on stderr, if that is a terminal and the file is large enough."""

    def __init__(self, name: str, size: int) -> None:
        self._bar: Any = None
        if size >= NOTICEABLE and sys.stderr.isatty():
            from tqdm import tqdm  # noqa: PLC0415 - most submissions have no use for it

            self._bar = tqdm(total=size, desc=name, unit="B", unit_scale=True, unit_divisor=1024, leave=False)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, received: int) -> None:
        if self._bar is not None:
            self._bar.update(received - self._bar.n)
