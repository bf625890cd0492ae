"""Sends submissions: one that is watched from the start, or many at a time."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from stoker.client.logs.jobs import WatchedDriver
from stoker.client.session.session import Session
from stoker.client.submit.sources import FileIndex
from stoker.core.model.messages import Failed, FindMissingBlobs, KillJob, Message, MissingBlobs, SubmitDriver, Submitted
from stoker.core.model.values import DriverDescription
from stoker.errors import ProtocolError, Refused, StokerError

WINDOW = 1000  # submissions of a bulk without an answer
LARGE = 64 * 1024 * 1024  # bytes; to hash a smaller file takes no longer than a question to the master
UPLOADS_OF_A_FILE = 3  # times a master may ask for the same file


def check_size(session: Session, path: Path, size: int) -> None:
    """Ask the master whether it accepts a file of ``size`` bytes, before the file is read. Raises Refused and Unreachable.

    A small file is not asked about: the master rejects the first piece of its upload.
    """
    if size <= LARGE:
        return
    answer = session.call(FindMissingBlobs(request=0, sha256s=()))
    if isinstance(answer, MissingBlobs) and 0 < answer.max_size < size:
        limit = f"{answer.max_size} bytes (spark.stoker.upload.maxSize)"
        raise Refused(f"{path}: the file has {size} bytes; the limit is {limit}: give a URL instead")


def check_array(session: Session, driver: DriverDescription, answer: Submitted, door: str) -> None:
    """Raise Refused if a master of an older release has taken an array for a single program; it is killed then."""
    if driver.array and not answer.tasks:
        session.call(KillJob(request=0, id=answer.driver_id, door=door))
        raise Refused(
            f"--array: the master knows no arrays and took it for one program, {answer.driver_id}, which is killed:"
            " upgrade the master"
        )


class Uploads:
    """The files of submissions. Submissions are sent first, and files only when the master asks for them."""

    def __init__(self, session: Session, book: FileIndex) -> None:
        self._session = session
        self._book = book
        self._times: Counter[str] = Counter()

    def send(self, answers: Iterable[Message]) -> None:
        """Upload the files that these answers to submissions ask for.

        Raises ProtocolError for another answer, Refused when the master asks for a file again and again, and as ``upload``.
        """
        missing: dict[str, None] = {}
        for answer in answers:
            if not isinstance(answer, MissingBlobs):
                raise ProtocolError(f"the master answered a submission with {type(answer).__name__}")
            missing.update(dict.fromkeys(answer.sha256s))
        self._times.update(list(missing))
        if not missing or any(self._times[sha256] > UPLOADS_OF_A_FILE for sha256 in missing):
            raise Refused("the master does not keep the files uploaded to it: look into its log")
        from stoker.client.submit.upload import upload  # noqa: PLC0415 - a program that was submitted before needs none

        upload(self._session, self._book, missing)


class WatchedSubmission:
    """A submission under way. ``driver`` is set when the master has accepted it, ``refusal`` when it answered otherwise."""

    def __init__(self, session: Session, message: SubmitDriver) -> None:
        self.driver: WatchedDriver | None = None
        self.refusal: Message | None = None
        self.answer: Submitted | None = None
        self._session = session
        self._exchange = session.ask(message, self._take)

    def is_answered(self) -> bool:
        return self.driver is not None or self.refusal is not None

    def _take(self, answer: Message) -> bool:
        if self.driver is not None:
            return self.driver.take(answer)
        if not isinstance(answer, Submitted):
            self.refusal = answer
            return True
        self.answer = answer
        self.driver = WatchedDriver(self._session, answer.driver_id, known=True)
        # After a fail-over it is not submitted again, which a master without records would do a second time.
        self._exchange.message = self.driver.question()
        return False


class BulkSubmission:
    """Many submissions over one connection: the first alone, which shows whether its files are missing, then up to ``WINDOW``
    without an answer at any time."""

    def __init__(self, session: Session, drivers: Sequence[DriverDescription], uploads: Uploads) -> None:
        self._session = session
        self._drivers = drivers
        self._uploads = uploads
        self._todo = deque((index, os.urandom(16).hex()) for index in range(len(drivers)))
        self._ids = [""] * len(drivers)
        self._under_way = 0
        self._missing: list[Message] = []
        self._window = 1
        self._refusal: Failed | None = None

    def run(self) -> list[str]:
        while (self._todo and self._refusal is None) or self._under_way:
            if self._missing and not self._under_way:
                missing, self._missing = self._missing, []
                self._uploads.send(missing)
            while self._todo and self._under_way < self._window and not self._missing and self._refusal is None:
                self._send(*self._todo.popleft())
            if self._under_way:
                self._session.pump()
        if self._refusal is not None:
            done = sum(map(bool, self._ids))
            try:
                self._session.checked(self._refusal)
            except StokerError as error:
                raise type(error)(
                    f"{done} of {len(self._drivers)} are submitted, the next is refused: {error}"
                ) from None
        return self._ids

    def _send(self, index: int, token: str) -> None:
        def answered(answer: Message) -> bool:
            self._under_way -= 1
            if isinstance(answer, Submitted):
                self._ids[index] = answer.driver_id
                self._window = WINDOW
            elif isinstance(answer, MissingBlobs):
                self._missing.append(answer)
                self._todo.appendleft((index, token))
            elif isinstance(answer, Failed):
                self._refusal = self._refusal or answer
            else:
                raise ProtocolError(f"the master answered a submission with {type(answer).__name__}")
            return True

        self._under_way += 1
        self._session.ask(SubmitDriver(request=0, token=token, driver=self._drivers[index]), answered)
