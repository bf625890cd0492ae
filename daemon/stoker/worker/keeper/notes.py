"""Notes on jobs that the daemon leaves with its keeper and gets back after a restart, and the Exit of an ended
process."""

from __future__ import annotations

import base64
import errno
import signal

import msgspec

from stoker.core.model.lifecycles import JobEvent
from stoker.core.model.states import DriverState, ExecutorState
from stoker.core.model.values import DriverReport, ExecutorReport, Exit
from stoker.core.worker.jobs import AnyJob, DriverJob, ExecutorJob, driver_job_key, executor_job_key
from stoker.worker.keeper import messages

OUT_OF_MEMORY = (
    "out of memory: the kernel killed it because memory ran out on its worker (OOM killer): let it use less, or ask for"
    " more with --driver-memory or --executor-memory, so that less runs beside it"
)


def encode(job: AnyJob) -> str:
    kind = b"d" if isinstance(job, DriverJob) else b"e"
    return base64.b64encode(kind + msgspec.msgpack.encode(job.report())).decode()


def decode(entry: messages.Kept) -> AnyJob | None:
    """Return the job of an entry in the keeper's list; None when another version wrote its note."""
    try:
        note = base64.b64decode(entry["note"])
        if note[:1] == b"d":
            job: AnyJob = _driver(msgspec.msgpack.decode(note[1:], type=DriverReport))
        else:
            job = _executor(msgspec.msgpack.decode(note[1:], type=ExecutorReport))
    except (ValueError, msgspec.DecodeError):
        return None
    job.run(JobEvent.FOUND)
    job.pid, job.started, job.account = entry["pid"], entry["started"], entry.get("account", "")
    if entry["exit"] is not None:
        job.end(exit_of(entry["exit"]), could_not_run=False)
    return job


def _driver(report: DriverReport) -> DriverJob:
    return DriverJob(
        key=driver_job_key(report.driver_id, report.attempt),
        cores=report.driver.cores,
        memory_mib=report.driver.memory_mib,
        driver_id=report.driver_id,
        attempt=report.attempt,
        driver=report.driver,
        principal=report.principal,
        seal=report.seal,
        state=DriverState.RUNNING,
        resources=report.resources,
    )


def _executor(report: ExecutorReport) -> ExecutorJob:
    return ExecutorJob(
        key=executor_job_key(report.app_id, report.executor_id),
        cores=report.cores,
        memory_mib=report.memory_mib,
        app_id=report.app_id,
        executor_id=report.executor_id,
        app=report.app,
        principal=report.principal,
        seal=report.seal,
        state=ExecutorState.RUNNING,
        resources=report.resources,
    )


def exit_of(message: messages.ProcessExit | messages.Exited) -> Exit:
    """Return how a process ended, with a reason in words; the OOM killer is named."""
    peak, cpu = message.get("peak_mib", 0), message.get("cpu_seconds", 0.0)
    if message.get("oom"):
        limit = message.get("limit_mib", 0)
        reason = f"out of memory: used {min(peak, limit) or limit} of {limit} MiB" if limit else OUT_OF_MEMORY
        return Exit(
            code=message.get("code"),
            signal=message.get("signal"),
            reason=reason,
            oom=True,
            peak_mib=peak,
            cpu_seconds=cpu,
        )
    return msgspec.structs.replace(_plain_exit(message), peak_mib=peak, cpu_seconds=cpu)


def _plain_exit(message: messages.ProcessExit | messages.Exited) -> Exit:
    expired = message.get("expired", False)
    if "signal" in message:
        number = message["signal"]
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = str(number)
        return Exit(signal=number, reason=f"Command was ended by signal {name}", expired=expired)
    return Exit(code=message["code"], reason=f"Command exited with code {message['code']}", expired=expired)


def start_failure(message: messages.NotStarted) -> Exit:
    """Return the Exit of a program that cannot be started, with the status that a shell would return; without a status for a
    job that has no account."""
    number, reason = message["errno"], message["reason"]
    if message.get("stage") == "account":
        return Exit(reason=reason)
    if number == errno.ENOENT:
        return Exit(code=127, reason=f"there is no such program (or its interpreter): {reason}")
    if number in (errno.EACCES, errno.ENOEXEC):
        hint = "it is not executable" if number == errno.EACCES else "it is not a program for this host"
        return Exit(code=126, reason=f"{hint}: {reason}")
    return Exit(reason=f"it cannot be started: {reason}")
