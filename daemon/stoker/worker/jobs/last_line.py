"""The last line that a failed job wrote to stderr: usually the reason, for tables and the command line."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from stoker.core.worker.jobs import AnyJob, DriverJob
from stoker.worker.jobs.attempts import section_of
from stoker.worker.jobs.output import Outputs

MOST = 200  # characters
_TAIL = 8 * 1024  # bytes that are looked through
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?")
_HEADER_END = b"\n" + b"=" * 40 + b"\n\n"  # of what the worker writes first (``Processes.spawn``)


def last_error_line(outputs: Outputs, folder: Path, job: AnyJob) -> str:
    """Return the last line of its stderr with something to read in it, without control characters, cut at ``MOST``
    characters; "" if there is none. ``folder`` is the job's own."""
    is_driver = isinstance(job, DriverJob)
    with suppress(OSError), outputs.open(folder / "stderr", may_be_rolled=not is_driver) as output:
        section = section_of(folder, job.attempt, "stderr") if isinstance(job, DriverJob) else None
        begin = max(output.size - _TAIL, section.start if section is not None and section.start <= output.size else 0)
        return last_line(output.read_filled(begin, output.size - begin))
    return ""


def last_line(text: bytes) -> str:
    """Return the last line of ``text`` as ``last_error_line`` does."""
    own = text.rpartition(_HEADER_END)[2]
    for line in reversed(own.splitlines()):
        shown = _readable(line.rpartition(b"\r")[2])
        if shown:
            return shown if len(shown) <= MOST else f"{shown[: MOST - 1]}…"
    return ""


def _readable(line: bytes) -> str:
    words = _ESCAPES.sub("", line.decode(errors="replace")).split()
    return "".join(character for character in " ".join(words) if character.isprintable())
