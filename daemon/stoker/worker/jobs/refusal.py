"""What a worker cannot do for reasons of its own, as against what is wrong with a job (``Exit.refused``)."""

from __future__ import annotations

import errno
import os

from stoker.core.model.values import Exit
from stoker.worker.keeper.messages import Failed

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
    """Whether an error in one of the worker's own folders says something about the worker, whatever the job was."""
    return error.errno in _FOLDER


def is_full(error: OSError) -> bool:
    """Whether an error while a file was copied to a folder of the worker's is the folder's, whatever the source is."""
    return error.errno in _FULL or error.errno in _MACHINE


def folder_failure(error: OSError) -> Exit:
    """How a job ends for which something of the worker's could not be made."""
    where = f"cannot write {os.fsdecode(error.filename)}" if error.filename else "cannot write its files"
    return Exit(reason=f"{where}: {error.strerror or error}", refused=is_own_fault(error))


def keeper_refusal(message: Failed) -> Exit | None:
    """The refusal in a keeper's failure to start a process; None when it is about the job's program."""
    number, stage = message["errno"], message.get("stage", "process")
    known = {*_MACHINE, errno.EBUSY} if stage == "process" else _FOLDER  # EBUSY: it is stopping
    return Exit(reason=f"cannot start processes: {message['reason']}", refused=True) if number in known else None
