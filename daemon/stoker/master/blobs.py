"""Uploaded files, by their SHA-256: received in chunks, checked, made durable, sent to workers.

Everything here runs in the master's loop, except the final fsync of an upload: it may take seconds for a large file, so it
has its own thread.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from stoker.config.limits import PREFIX, Limits
from stoker.core.model.messages import (
    BlobData,
    Failed,
    FetchBlob,
    FindMissingBlobs,
    Message,
    MissingBlobs,
    UploadChunk,
    UploadStatus,
)
from stoker.core.model.values import SHA256, DriverDescription
from stoker.io.disk import to_disk

LOG = logging.getLogger(__name__)
MAX_CHUNK = 1024 * 1024  # bytes a peer may ask for or send at once
MAX_OPEN = 64  # files kept open for workers that fetch
UNUSED_FOR = 24 * 3600.0  # seconds until a file that no active driver needs is removed

NO_SETTINGS = Limits()

Reply = Callable[[bytes, Message], None]


@dataclass
class _Arriving:
    file: IO[bytes]
    path: Path
    size: int
    owner: object
    received: int = 0
    hash: Any = field(default_factory=hashlib.sha256)


class BlobStore:
    """Stores uploads. ``reply`` sends a message to a peer; ``in_loop`` runs a function in the loop, from any thread."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        reply: Reply,
        in_loop: Callable[[Callable[[], None]], None],
        limits: Limits = NO_SETTINGS,
        owner_of: Callable[[bytes], object] = lambda peer: peer,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._limits = limits
        self._owner_of = owner_of
        self._reply = reply
        self._in_loop = in_loop
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in folder.glob("*.part-*"):
            leftover.unlink(missing_ok=True)
        # name -> bytes of it
        self._present = {path.name: path.stat().st_size for path in folder.iterdir() if SHA256.fullmatch(path.name)}
        self._total = sum(self._present.values())  # bytes, with those that the open uploads will have
        self._uploads: dict[tuple[bytes, str], _Arriving] = {}
        self._open: OrderedDict[str, IO[bytes]] = OrderedDict()
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="blob-fsync")

    def missing(self, driver: DriverDescription) -> tuple[str, ...]:
        """Return the uploads that this driver needs and the master lacks."""
        return self._lacking(artifact.sha256 for artifact in driver.artifacts if artifact.sha256)

    def _lacking(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name in names if name not in self._present))

    def ask(self, peer: bytes, message: FindMissingBlobs) -> None:
        lacking = self._lacking(message.sha256s)
        self._reply(peer, MissingBlobs(request=message.request, sha256s=lacking, max_size=self._max_bytes))

    # --- receiving ---

    def receive(self, peer: bytes, message: UploadChunk) -> None:
        """Write one chunk; the last one is answered with ``complete``."""
        try:
            self._receive(peer, message)
        except OSError as error:
            self._drop(peer, message.sha256)
            self._refuse(peer, message, f"the master cannot store the upload: {error.strerror or error}")

    def _receive(self, peer: bytes, message: UploadChunk) -> None:
        if not SHA256.fullmatch(message.sha256) or len(message.data) > MAX_CHUNK:
            self._refuse(peer, message, "malformed upload", code="bad-request")
            return
        if message.size > self._max_bytes:
            limit = f"{self._max_bytes} bytes (spark.stoker.upload.maxSize)"
            self._refuse(peer, message, f"the file has {message.size} bytes; the limit is {limit}: give a URL instead")
            return
        if message.sha256 in self._present:
            self._reply(peer, _status(message, message.size, complete=True))
            return
        key = (peer, message.sha256)
        if message.offset == 0:
            self._drop(peer, message.sha256)
            if reason := self._reason_against(peer, message.size):
                self._refuse(peer, message, reason)
                return
            path = self._folder / f"{message.sha256}.part-{os.urandom(6).hex()}"
            self._uploads[key] = _Arriving(path.open("xb"), path, message.size, self._owner_of(peer))
            self._total += message.size
        upload = self._uploads.get(key)
        if upload is None or message.offset != upload.received or message.size != upload.size:
            self._drop(peer, message.sha256)
            self._refuse(peer, message, "the upload was interrupted: start it again")
            return
        upload.file.write(message.data)
        upload.hash.update(message.data)
        upload.received += len(message.data)
        if upload.received < upload.size:
            self._reply(peer, _status(message, upload.received))
        else:
            self._finish(peer, message, self._uploads.pop(key))

    def _reason_against(self, peer: bytes, size: int) -> str:
        """Return why no further upload of that size may begin now, or ""."""
        owner = self._owner_of(peer)
        if sum(upload.owner == owner for upload in self._uploads.values()) >= self._limits.uploads:
            return f"{self._limits.uploads} files are being uploaded already ({PREFIX}uploads): try again later"
        if size < 0 or self._total + size > self._limits.upload_bytes:
            return f"the uploads would have over {self._limits.upload_bytes} bytes ({PREFIX}uploadBytes): give a URL instead"
        return ""

    def _finish(self, peer: bytes, message: UploadChunk, upload: _Arriving) -> None:
        if upload.received != upload.size or upload.hash.hexdigest() != message.sha256:
            self._discard(upload)
            self._refuse(peer, message, "the file changed while it was uploaded (its SHA-256 differs): submit it again")
            return

        def sync() -> None:
            problem = ""
            try:
                upload.file.flush()
                os.fsync(upload.file.fileno())
                upload.file.close()
                upload.path.rename(self._folder / message.sha256)
                to_disk(self._folder)
            except OSError as error:
                upload.path.unlink(missing_ok=True)
                problem = f"the master cannot store the upload: {error.strerror or error}"
            self._in_loop(lambda: stored(problem))

        def stored(problem: str) -> None:
            if problem or message.sha256 in self._present:
                self._total -= upload.size
            if problem:
                self._refuse(peer, message, problem)
                return
            self._present[message.sha256] = upload.size
            self._reply(peer, _status(message, message.size, complete=True))

        self._syncer.submit(sync)

    def _refuse(self, peer: bytes, message: UploadChunk, reason: str, code: Any = "refused") -> None:
        self._reply(peer, Failed(request=message.request, reason=reason, code=code))

    def _drop(self, peer: bytes, sha256: str) -> None:
        upload = self._uploads.pop((peer, sha256), None)
        if upload is not None:
            self._discard(upload)

    def _discard(self, upload: _Arriving) -> None:
        self._total -= upload.size
        upload.file.close()
        upload.path.unlink(missing_ok=True)

    def peer_gone(self, peer: bytes) -> None:
        for key in [key for key in self._uploads if key[0] == peer]:
            self._drop(*key)

    # --- handing out ---

    def fetch(self, peer: bytes, message: FetchBlob) -> None:
        try:
            file = self._opened(message.sha256)
            if file is None:
                error = "the master does not have this upload; it may have been removed: submit again"
                self._reply(peer, nothing(message, error))
                return
            size = os.fstat(file.fileno()).st_size
            offset = max(0, min(message.offset, size))
            data = os.pread(file.fileno(), max(0, min(message.limit, MAX_CHUNK)), offset)
        except OSError as error:
            self._reply(peer, nothing(message, f"the master cannot read the upload: {error.strerror or error}"))
            return
        answer = BlobData(request=message.request, sha256=message.sha256, offset=message.offset, size=size, data=data)
        self._reply(peer, answer)

    def _opened(self, sha256: str) -> IO[bytes] | None:
        if sha256 in self._open:
            self._open.move_to_end(sha256)
            return self._open[sha256]
        if sha256 not in self._present:
            return None
        path = self._folder / sha256
        file = path.open("rb")
        os.utime(path)  # its last use, for ``prune``
        self._open[sha256] = file
        while len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)[1].close()
        return file

    def prune(self, needed: set[str]) -> None:
        """Remove files that no active driver needs and nobody has used for a day."""
        limit = time.time() - UNUSED_FOR
        for sha256 in list(self._present.keys() - needed):
            path = self._folder / sha256
            try:
                if path.stat().st_mtime > limit:
                    continue
                path.unlink()
            except OSError as error:
                LOG.warning("cannot remove the old upload %s: %s", path, error)
            self._total -= self._present.pop(sha256, 0)
            opened = self._open.pop(sha256, None)
            if opened is not None:
                opened.close()

    def close(self) -> None:
        self._syncer.shutdown(wait=True)
        for key in list(self._uploads):
            self._drop(*key)
        for file in self._open.values():
            file.close()


def _status(message: UploadChunk, received: int, *, complete: bool = False) -> UploadStatus:
    return UploadStatus(request=message.request, sha256=message.sha256, received=received, complete=complete)


def nothing(message: FetchBlob, error: str) -> BlobData:
    """Return the answer to a worker that receives no data; ``error`` says why."""
    return BlobData(request=message.request, sha256=message.sha256, offset=message.offset, error=error)
