"""Failures of the worker itself, as opposed to mistakes in a job: the worker refuses the job (``Exit.refused``)."""

from __future__ import annotations

import errno
import os

from stoker.core.model.values import Exit
from stoker.worker.keeper.messages import NotStarted

# Of a folder: full or read-only. Of the machine: no more open files, memory or processes. Of the worker's own folders, also:
# removed, closed to it, broken.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
_FOLDER = {
    *_FULL,
    *_MACHINE,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EIO,
    errno.ESTALE,
    errno.ENODEV,
}


def is_own_fault(error: OSError) -> bool:
    """Return whether an error in the worker's own folders is the worker's fault, whatever the job was."""
    return error.errno in _FOLDER


def is_full(error: OSError) -> bool:
    """Return whether an error while copying a file comes from the worker's folder and not from the source."""
    return error.errno in _FULL or error.errno in _MACHINE


def folder_failure(error: OSError) -> Exit:
    """Return the Exit of a job for which the worker could not write a file."""
    where = f"cannot write {os.fsdecode(error.filename)}" if error.filename else "cannot write its files"
    return Exit(reason=f"{where}: {error.strerror or error}", refused=is_own_fault(error))


def keeper_refusal(message: NotStarted) -> Exit | None:
    """Return the refusal for a process that the keeper could not start; None when the job's program is at fault."""
    number, stage = message["errno"], message.get("stage", "process")
    known = {*_MACHINE, errno.EBUSY} if stage == "process" else _FOLDER  # EBUSY: it is stopping
    if stage == "limits":
        return Exit(reason=f"cannot limit its processes: {message['reason']}", refused=True)
    return Exit(reason=f"cannot start processes: {message['reason']}", refused=True) if number in known else None
