"""Starts a job's main process, with its output files. Standard library only, as all the keeper imports."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from stoker.worker.groups.account import GroupFailed
from stoker.worker.keeper.identity import AccountRefused
from stoker.worker.keeper.messages import NotStarted, Spawn
from stoker.worker.keeper.rolling import RollingLog
from stoker.worker.runas.accounts import UnixAccount
from stoker.worker.runas.capabilities import files_as
from stoker.worker.runas.handover import share_output, share_pipe

PRIVATE_UMASK = 0o077  # of a job that runs as its submitter


class OutputFailed(OSError):
    """A file for the job's output cannot be opened or written."""


def not_started(message: Spawn, error: OSError) -> NotStarted:
    """Return the answer to a request whose process could not be started."""
    where = error.filename if isinstance(error.filename, str) else ""
    reason = f"{error.strerror or error}: {where}" if where else str(error.strerror or error)
    stage = "output" if isinstance(error, OutputFailed) or where == message["cwd"] else "process"
    stage = "limits" if isinstance(error, GroupFailed) else stage
    stage = "account" if isinstance(error, AccountRefused) else stage
    kind, code = message.get("kind", "job"), error.errno or 0
    return {"op": "failed", "key": message["key"], "errno": code, "reason": reason, "stage": stage, "kind": kind}


def start(message: Spawn, marks: Mapping[str, str], account: UnixAccount | None = None) -> tuple[int, list[RollingLog]]:
    """Start the process in a session of its own, as ``account`` if there is one; return its pid, and the logs to pump.
    ``marks`` join its environment.

    Raises OutputFailed, or OSError when the process itself cannot be started.
    """
    opened: list[int] = []
    logs: list[RollingLog] = []
    try:
        try:
            _open_outputs(message, opened, logs, account)
        except OSError as error:
            raise OutputFailed(error.errno, error.strerror, error.filename) from error
        process = _popen(message, marks, opened, account)
    except (OSError, ValueError) as error:
        for log in logs:
            log.close()
        raise error if isinstance(error, OSError) else OSError(0, str(error)) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    process.returncode = 0  # the keeper reaps it, by waitpid: Popen must not do it again
    return process.pid, logs


def _popen(
    message: Spawn, marks: Mapping[str, str], opened: list[int], account: UnixAccount | None
) -> subprocess.Popen[bytes]:
    # Without preexec_fn Popen goes through vfork: half the cost of a fork, whatever the keeper's size.
    more: dict[str, Any] = {}
    if account is not None:
        more = {"user": account.uid, "group": account.gid, "extra_groups": account.groups, "umask": PRIVATE_UMASK}
    # Popen enters the folder before it changes the account; only the account may enter it.
    with files_as(account.uid, account.gid) if account is not None else contextlib.nullcontext():
        return subprocess.Popen(
            message["argv"],
            cwd=message["cwd"],
            env={**message["env"], **marks},
            stdin=subprocess.DEVNULL,
            stdout=opened[0],
            stderr=opened[1],
            start_new_session=True,
            **more,
        )


def _open_outputs(message: Spawn, opened: list[int], logs: list[RollingLog], account: UnixAccount | None) -> None:
    """Append the descriptors for stdout and stderr to ``opened``."""
    rolling = message.get("rolling")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    for path, header in ((message["stdout"], ""), (message["stderr"], message["header"])):
        descriptor = os.open(path, flags, 0o640)
        opened.append(descriptor)
        if account is not None:
            share_output(descriptor, account.uid)
        if header:
            os.write(descriptor, header.encode())
        if rolling:
            os.close(opened.pop())
            read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
            opened.append(write_fd)
            os.set_blocking(read_fd, False)
            if account is not None:
                share_pipe(write_fd, account)
            logs.append(RollingLog(message["key"], read_fd, path, rolling))
