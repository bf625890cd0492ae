"""The lines of every log: one an event, in which no text of others can begin a line or give a terminal orders."""

from __future__ import annotations

import logging
import threading
from types import TracebackType

from stoker.errors import one_line

OF_A_DAEMON = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_INDENT = "    "


class LineFormatter(logging.Formatter):
    """Formats records with control characters (also C1, bidirectional and line separators) escaped. The lines of a traceback
    follow indented, so none of them looks like an event."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = one_line(record.getMessage())
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        if record.stack_info:
            lines += self.formatStack(record.stack_info).splitlines()
        return "\n".join([lines[0], *(_INDENT + one_line(line) for line in lines[1:])])


def set_up_root(level: int, layout: str) -> None:
    """Send all loggers to stderr through a ``LineFormatter``, and uncaught exceptions of threads to the log."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(layout))
    logging.basicConfig(handlers=[handler], level=level)
    threading.excepthook = _log_uncaught


def _log_uncaught(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or issubclass(args.exc_type, SystemExit):
        return
    trace: TracebackType | None = args.exc_traceback
    name = args.thread.name if args.thread is not None else "a thread"
    logging.getLogger("stoker").error("%s ended with an error", name, exc_info=(args.exc_type, args.exc_value, trace))
