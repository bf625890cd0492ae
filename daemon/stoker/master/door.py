"""Refuse at the door what would be too large for everybody: names, submissions, what workers call themselves."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from stoker.config.limits import PREFIX, Limits
from stoker.core.model.messages import (
    DriverStateChanged,
    ExecutorStateChanged,
    Message,
    RegisterApplication,
    RegisterWorker,
    SubmitDriver,
)
from stoker.core.model.values import ApplicationDescription, DriverDescription

_REASON = 1000  # characters of a worker's reason for the end of a process that are kept
_encoder = msgspec.msgpack.Encoder()


class SizeGuard:
    """``reason_against`` is "" for messages that are let in, else one line for the sender."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def reason_against(self, message: Message) -> str:
        if isinstance(message, SubmitDriver):
            return self.too_large(message.driver)
        if isinstance(message, RegisterApplication):
            return self.too_large(message.app)
        if isinstance(message, RegisterWorker):
            names = (message.worker_id, message.boot, message.host, message.webui_url, message.version)
            return self._too_long(("worker's address", name) for name in names)
        return ""

    def too_large(self, description: DriverDescription | ApplicationDescription) -> str:
        """Return why a description is too large to accept, or ""."""
        if isinstance(description, DriverDescription):
            names = [("driver's name", description.name), ("user", description.user)]
            names += [("name of a file", artifact.name) for artifact in description.artifacts]
        else:
            names = [("application's name", description.name), ("user", description.user)]
            names += [("address of its pages", description.ui_url)]
        reason = self._too_long(names)
        size = 0 if reason else len(_encoder.encode(description))
        if size > self._limits.description:
            return (
                f"the arguments, environment and properties have {size} bytes; the limit is {self._limits.description}"
                f" ({PREFIX}description): put them into a file, and give it with --files"
            )
        return reason

    def _too_long(self, names: Iterable[tuple[str, str]]) -> str:
        for what, name in names:
            size = len(name) if name.isascii() else len(name.encode())
            if size > self._limits.name:
                return f"the {what} has {size} bytes; the limit is {self._limits.name} ({PREFIX}name): choose a shorter one"
        return ""

    @staticmethod
    def shortened(message: Message) -> Message:
        """Return a report of a worker with a reason of bounded length: every status shows it."""
        if isinstance(message, (DriverStateChanged, ExecutorStateChanged)) and len(message.exit.reason) > _REASON:
            exit = msgspec.structs.replace(message.exit, reason=message.exit.reason[:_REASON])
            return msgspec.structs.replace(message, exit=exit)
        return message
