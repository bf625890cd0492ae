"""The life of everything that has a state, as tables: state x event -> next state.

No code in the cores assigns a state: every change is a ``move`` (``core.model.moves``) by an event in the table of the
record's kind. The model is h11's ``_state.py``.

What the tables do not say:

* **Who may cause an event.** A worker's report counts only on the connection the worker is registered on, and only for
  the latest attempt of a driver (``core.master.drivers``). The tables apply after these checks.
* **When an event comes.** Back-offs, time-outs and the end of a recovery are timers of the master.
* **What else is true.** Whether a driver is in the queue, or holds cores of a worker, follows from its state;
  ``core.master.invariants`` checks that it does.
* **Starting anew.** A worker that registers, and an executor that its worker reports, get a new record. An executor that
  was given up as LOST and turns out to be alive begins again as LAUNCHING, under its old number.

The names of the states are Spark's, because they are on the wire, in JSON and on pages. The diagrams in docs/protocol.md
are made from these tables (``make diagrams``).

Drivers
-------
SUBMITTED     In the queue for a worker: new, or to be started again.
RUNNING       Placed on a worker. That includes the time in which the worker fetches files and starts the process, as in
              Spark: the master learns the process id when the worker reports the start, and the state does not change.
RELAUNCHING   Supervised, its process has failed, and its back-off is running. It holds no worker and is not in the queue.
UNKNOWN       Its worker is unreachable. The process may be alive, because the worker's keeper runs it for a while without
              a daemon. Nothing may run twice at once, so the driver is neither started elsewhere nor given up until
              the worker reports it, or until the keeper must have stopped it (``policy.reconnect_timeout``).
FINISHED      Exit code 0.
FAILED        Another exit code, or too many restarts.
KILLED        Ended on request. A kill is booked when the worker reports the end, not when it is requested; until then the
              driver is RUNNING with ``kill_requested``.
ERROR         Could not be started, or was lost with its worker and is not supervised.

An *attempt* is one run of a driver on one worker. It is RUNNING until it ends, and has the same final states. A worker that
cannot start it, though the driver is not the cause (a full disk), *refuses* it: the attempt does not count, and the driver is
SUBMITTED again.

Executors
---------
LAUNCHING       Granted; its worker has not reported a process yet.
RUNNING         Its worker has reported the process.
EXITED          The process ended, with any exit code.
FAILED          The process could not be started.
KILLED          Ended on request of its application, or with its application.
LOST            Its worker was lost, or refused to start it (``Exit.refused``). The next scheduling replaces it.
DECOMMISSIONED  Spark's name, for its pages and monitors. No event leads here.

*Dying* is not a state. When an application ends, its executors are booked as KILLED at once and belong to no job; their
workers keep the cores and memory charged (``books.Worker.dying``) until they report the end, so that nothing is placed on
resources that are still in use. The same holds when a returning worker reports the process of a driver that was given up.

Applications
------------
WAITING    Registered, without an executor.
RUNNING    Registered, with at least one executor.
UNKNOWN    In the records, or known from its executors only, and its own process has not registered with this master.
           Its executors go on; it gets no new ones. It is FAILED if it does not come back in time.
FINISHED   Its process reported it, or all executors of a finite application have succeeded.
FAILED     Its process reported it or is unreachable, or executors failed too often.
KILLED     Ended on request.

*Orphaned* is a worker's word, not a state: the keeper of an orphaned job has died, so its exit code is lost. The worker
reports the job's end only when the next keeper has stopped all its processes (``core.worker.machine``).

Workers
-------
ALIVE           Registered and connected.
DECOMMISSIONED  Connected, and *leaving*: the worker has announced that it stops. It gets no new jobs and stops the running
                ones; the ends that it still reports count.
UNKNOWN         Not connected, and expected back: it announced a restart (*keeping*: its processes stay with the keeper, so
                its executors are not replaced either), or it is in the records of an earlier master.
DEAD            Not connected. Its executors are lost at once. Its drivers are UNKNOWN until ``reconnect_timeout`` has
                passed. A DEAD worker stays on the list for a while, and is ALIVE again when it registers.

*Leaving* and *keeping* are notes on a connected worker: how it announced the end of its connection. They decide whether
CONNECTION_LOST or LEFT_TO_RESTART follows. A worker without an announcement has neither.

Jobs (of a worker)
------------------
PREPARING  The worker makes its directories and fetches its files.
STARTING   Handed to the keeper, which has not reported a process yet.
RUNNING    The keeper has reported the process.
ENDED      Ended and reported to the master, which has not acknowledged it yet. Then the job is forgotten.

Registrations (an application's own view)
-----------------------------------------
REGISTERING   For the first time.
REGISTERED    With the leading master.
RECONNECTING  It has an id, and looks for a master that leads.
REMOVED       By the master. It asks further questions, about its executors' output, and does not register again.
OVER          It has stopped, or given up.
"""

from __future__ import annotations

from collections.abc import Mapping

from stoker.core.model.moves import Event, Lifecycle
from stoker.core.model.states import (
    ApplicationState,
    DriverState,
    ExecutorState,
    JobPhase,
    MasterState,
    RegistrationPhase,
    WorkerState,
)


class DriverEvent(Event):
    """What happens to a driver, and to an attempt."""

    PLACED = "placed on a worker"
    STARTED = "its worker reports the process"
    REPORTED = "a registering worker has it"
    FINISHED = "exit code 0"
    FAILED = "it failed"
    ERROR = "it cannot run, or was lost"
    KILLED = "killed on request"
    RESTART_LATER = "it failed and is supervised"
    BACKOFF_ENDED = "its back-off has ended"
    REQUEUED = "lost with its worker and supervised"
    NEVER_STARTED = "its launch did not arrive"
    REFUSED = "its worker refuses it"
    WORKER_UNREACHABLE = "its worker is unreachable"
    MASTER_STARTED = "a new master reads its record"


class ExecutorEvent(Event):
    STARTED = "its worker reports the process"
    EXITED = "the process ended"
    FAILED = "it cannot be started"
    KILLED = "killed"
    LOST = "its worker is lost"


class ApplicationEvent(Event):
    GRANTED = "it gets an executor"
    WITHOUT_EXECUTORS = "its last executor ends"
    REGISTERED = "it registers, without executors"
    REGISTERED_WITH_EXECUTORS = "it registers, with executors"
    ADOPTED = "a worker reports its executors"
    MASTER_STARTED = "a new master reads its record"
    FINISHED = "it is done"
    FAILED = "it failed, or its process is unreachable"
    KILLED = "killed on request"


class WorkerEvent(Event):
    REGISTERED = "it registers"
    STOPPING = "it announces that it stops"
    RESTARTING = "it announces a restart"
    CONNECTION_LOST = "its connection ends"
    LEFT_TO_RESTART = "its connection ends, as announced"
    GIVEN_UP = "it did not come back in time"
    MASTER_STARTED = "a new master reads its record"


class MasterEvent(Event):
    RECORDS_FOUND = "there are records of an earlier master"
    RECOVERED = "all peers have answered, or the time is up"


class JobEvent(Event):
    PREPARED = "its files have been fetched"
    STARTED = "the keeper reports the process"
    FOUND = "the keeper kept it for this daemon"
    ENDED = "it ended, or cannot run"


class RegistrationEvent(Event):
    REGISTERED = "a master registers it"
    LEADER_LOST = "its master is lost, or leads no more"
    REMOVED = "its master removes it"
    FINISHED = "it stops, or gives up"


# Short names, for the tables.
D, DE = DriverState, DriverEvent
_DRIVER_ENDS = {DE.FINISHED: D.FINISHED, DE.FAILED: D.FAILED, DE.KILLED: D.KILLED, DE.ERROR: D.ERROR}
_DRIVER_FINAL: dict[DriverState, Mapping[DriverEvent, DriverState]] = {state: {} for state in _DRIVER_ENDS.values()}
DRIVER = Lifecycle(
    "driver",
    D.SUBMITTED,
    {
        D.SUBMITTED: {
            DE.PLACED: D.RUNNING,
            DE.REPORTED: D.RUNNING,  # the books took it for never started
            DE.KILLED: D.KILLED,
            DE.MASTER_STARTED: D.SUBMITTED,
        },
        D.RUNNING: {
            DE.STARTED: D.RUNNING,
            DE.REPORTED: D.RUNNING,  # the worker registers again on the same connection, or before the old one is closed
            DE.RESTART_LATER: D.RELAUNCHING,
            DE.REQUEUED: D.SUBMITTED,
            DE.NEVER_STARTED: D.SUBMITTED,
            DE.REFUSED: D.SUBMITTED,
            DE.WORKER_UNREACHABLE: D.UNKNOWN,
            DE.MASTER_STARTED: D.UNKNOWN,
            **_DRIVER_ENDS,
        },
        D.RELAUNCHING: {
            DE.BACKOFF_ENDED: D.SUBMITTED,
            DE.REPORTED: D.RUNNING,  # a later attempt than the one that failed
            DE.KILLED: D.KILLED,
            DE.MASTER_STARTED: D.SUBMITTED,
        },
        D.UNKNOWN: {
            DE.REPORTED: D.RUNNING,
            DE.REQUEUED: D.SUBMITTED,
            DE.NEVER_STARTED: D.SUBMITTED,
            DE.REFUSED: D.SUBMITTED,
            DE.KILLED: D.KILLED,
            DE.ERROR: D.ERROR,
            DE.MASTER_STARTED: D.UNKNOWN,
        },
        **_DRIVER_FINAL,
    },
    events=DriverEvent,
)
ATTEMPT = Lifecycle(
    "attempt",
    D.RUNNING,
    {
        D.RUNNING: {DE.REPORTED: D.RUNNING, **_DRIVER_ENDS},
        D.SUBMITTED: {},  # an attempt begins when the driver is placed
        D.RELAUNCHING: {},
        D.UNKNOWN: {},
        **_DRIVER_FINAL,
    },
    events=DriverEvent,
)

# An array is SUBMITTED until all its tasks have ended: they have drivers of their own.
ARRAY = Lifecycle(
    "array",
    D.SUBMITTED,
    {state: {} for state in D}
    | {
        D.SUBMITTED: {
            DE.MASTER_STARTED: D.SUBMITTED,
            DE.FINISHED: D.FINISHED,
            DE.FAILED: D.FAILED,
            DE.KILLED: D.KILLED,
        }
    },
    events=DriverEvent,
)

# The end of an attempt, and of its unsupervised driver, that was given up with its worker (``Attempt.lost``), and that the
# worker reports after all: nothing else may follow, so only the end changes.
LATE_END = Lifecycle(
    "given up",
    D.ERROR,
    {state: {} for state in D} | {D.ERROR: {DE.FINISHED: D.FINISHED, DE.FAILED: D.FAILED, DE.KILLED: D.KILLED}},
    events=DriverEvent,
)

DRIVER_END: Mapping[DriverState, DriverEvent] = {state: event for event, state in _DRIVER_ENDS.items()}

X, XE = ExecutorState, ExecutorEvent
_EXECUTOR_ENDS = {XE.EXITED: X.EXITED, XE.FAILED: X.FAILED, XE.KILLED: X.KILLED, XE.LOST: X.LOST}
EXECUTOR = Lifecycle(
    "executor",
    X.LAUNCHING,
    {
        X.LAUNCHING: {XE.STARTED: X.RUNNING, **_EXECUTOR_ENDS},
        X.RUNNING: {XE.STARTED: X.RUNNING, **_EXECUTOR_ENDS},  # reported twice: the first report may have been lost
        X.EXITED: {},
        X.FAILED: {},
        X.KILLED: {},
        X.LOST: {},
        X.DECOMMISSIONED: {},
    },
    events=ExecutorEvent,
)

# The states that a worker may report. Only the master decides that an executor is lost.
EXECUTOR_REPORT: Mapping[ExecutorState, ExecutorEvent] = {
    X.RUNNING: XE.STARTED,
    **{state: event for event, state in _EXECUTOR_ENDS.items() if event is not XE.LOST},
}

A, AE = ApplicationState, ApplicationEvent
_APPLICATION_ENDS = {AE.FINISHED: A.FINISHED, AE.FAILED: A.FAILED, AE.KILLED: A.KILLED}
_REGISTERS = {AE.REGISTERED: A.WAITING, AE.REGISTERED_WITH_EXECUTORS: A.RUNNING}
APPLICATION = Lifecycle(
    "application",
    A.WAITING,
    {
        A.WAITING: {
            **_REGISTERS,
            AE.GRANTED: A.RUNNING,
            AE.ADOPTED: A.UNKNOWN,
            AE.MASTER_STARTED: A.UNKNOWN,
            **_APPLICATION_ENDS,
        },
        A.RUNNING: {
            **_REGISTERS,
            AE.GRANTED: A.RUNNING,
            AE.WITHOUT_EXECUTORS: A.WAITING,
            AE.MASTER_STARTED: A.UNKNOWN,
            **_APPLICATION_ENDS,
        },
        A.UNKNOWN: {
            **_REGISTERS,
            AE.GRANTED: A.UNKNOWN,  # a worker reports one more of its executors
            AE.WITHOUT_EXECUTORS: A.UNKNOWN,
            AE.MASTER_STARTED: A.UNKNOWN,
            **_APPLICATION_ENDS,
        },
        A.FINISHED: {},
        A.FAILED: {},
        A.KILLED: {},
    },
    events=ApplicationEvent,
)

APPLICATION_END: Mapping[ApplicationState, ApplicationEvent] = {
    state: event for event, state in _APPLICATION_ENDS.items()
}

W, WE = WorkerState, WorkerEvent
WORKER = Lifecycle(
    "worker",
    W.ALIVE,
    {
        W.ALIVE: {
            WE.REGISTERED: W.ALIVE,
            WE.STOPPING: W.DECOMMISSIONED,
            WE.RESTARTING: W.ALIVE,
            WE.CONNECTION_LOST: W.DEAD,
            WE.LEFT_TO_RESTART: W.UNKNOWN,
            WE.MASTER_STARTED: W.UNKNOWN,
        },
        W.DECOMMISSIONED: {
            WE.REGISTERED: W.ALIVE,
            WE.STOPPING: W.DECOMMISSIONED,  # announced again
            WE.CONNECTION_LOST: W.DEAD,
            WE.MASTER_STARTED: W.UNKNOWN,
        },
        W.UNKNOWN: {
            WE.REGISTERED: W.ALIVE,
            WE.GIVEN_UP: W.DEAD,
            WE.MASTER_STARTED: W.UNKNOWN,
        },
        W.DEAD: {
            WE.REGISTERED: W.ALIVE,
            WE.GIVEN_UP: W.DEAD,
            WE.MASTER_STARTED: W.DEAD,
        },
    },
    events=WorkerEvent,
)

MASTER = Lifecycle(
    "master",
    MasterState.ALIVE,
    {
        MasterState.STANDBY: {},  # a state of the shell: a core exists only while its master leads
        MasterState.ALIVE: {MasterEvent.RECORDS_FOUND: MasterState.RECOVERING},
        MasterState.RECOVERING: {MasterEvent.RECOVERED: MasterState.ALIVE},
    },
    events=MasterEvent,
)

J, JE = JobPhase, JobEvent
JOB = Lifecycle(
    "job",
    J.PREPARING,
    {
        J.PREPARING: {JE.PREPARED: J.STARTING, JE.FOUND: J.RUNNING, JE.ENDED: J.ENDED},
        J.STARTING: {JE.STARTED: J.RUNNING, JE.ENDED: J.ENDED},
        J.RUNNING: {JE.ENDED: J.ENDED},
        J.ENDED: {},
    },
    attribute="phase",
    events=JobEvent,
)

P, PE = RegistrationPhase, RegistrationEvent
REGISTRATION = Lifecycle(
    "registration",
    P.REGISTERING,
    {
        P.REGISTERING: {PE.REGISTERED: P.REGISTERED, PE.REMOVED: P.REMOVED, PE.FINISHED: P.OVER},
        P.REGISTERED: {
            PE.REGISTERED: P.REGISTERED,  # by the next master, before the last one was missed
            PE.LEADER_LOST: P.RECONNECTING,
            PE.REMOVED: P.REMOVED,
            PE.FINISHED: P.OVER,
        },
        P.RECONNECTING: {PE.REGISTERED: P.REGISTERED, PE.REMOVED: P.REMOVED, PE.FINISHED: P.OVER},
        P.REMOVED: {PE.FINISHED: P.OVER},
        P.OVER: {},
    },
    attribute="phase",
    events=RegistrationEvent,
)
