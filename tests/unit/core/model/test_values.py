"""Values validate themselves: an illegal one can neither be built nor decoded, a legal one survives the wire."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.core.model.messages import RegisterApplication
from stoker.core.model.states import DriverState, ExecutorState
from stoker.core.model.values import (
    APP_ID,
    DRIVER_ID,
    HIGHEST_EXECUTOR_ID,
    UNLIMITED,
    WORKER_ID,
    ApplicationDescription,
    Artifact,
    Command,
    DriverDescription,
    DriverReport,
    ExecutorReport,
    Exit,
)
from stoker.core.model.views import ExecutorView

SCRIPT = Artifact(name="a.py", url="file:/a.py")
COMMAND = Command(argv=("run",))
SHA = "0123456789abcdef" * 4
# What each kind needs at least, to which the tables below add one fault.
LEGAL: dict[type, dict[str, Any]] = {
    Artifact: {"name": "a.py", "url": "file:/a.py"},
    DriverDescription: {"kind": "python", "main": "a.py", "artifacts": (SCRIPT,)},
    Command: {"argv": ("run",)},
    ApplicationDescription: {"name": "etl", "command": COMMAND},
    Exit: {},
    DriverReport: {
        "driver_id": "driver-20270101000000-0000",
        "attempt": 1,
        "state": DriverState.RUNNING,
        "driver": DriverDescription(kind="python", main="a.py", artifacts=(SCRIPT,)),
    },
    ExecutorReport: {
        "app_id": "app-20270101000000-0000",
        "executor_id": 0,
        "cores": 1,
        "memory_mib": 0,
        "state": ExecutorState.RUNNING,
        "app": ApplicationDescription(name="etl", command=COMMAND),
    },
    RegisterApplication: {
        "request": 1,
        "token": "t",
        "app": ApplicationDescription(name="etl", command=COMMAND),
    },
}


def view(**fields: int) -> ExecutorView:
    known: dict[str, Any] = {"id": 0, "cores": 1, "memory_mib": 1} | fields
    return ExecutorView(worker_id="w", host="h", state=ExecutorState.EXITED, **known)


ILLEGAL: list[tuple[type, dict[str, Any], str]] = [
    (Artifact, {"name": ""}, "plain file name"),
    (Artifact, {"name": "."}, "plain file name"),
    (Artifact, {"name": ".."}, "plain file name"),
    (Artifact, {"name": "../a.py"}, "plain file name"),
    (Artifact, {"name": "/etc/passwd"}, "plain file name"),
    (Artifact, {"name": "a\0b"}, "plain file name"),
    (Artifact, {"name": "stdout"}, "output is written there"),
    (Artifact, {"name": "stderr"}, "output is written there"),
    (Artifact, {"url": ""}, "exactly one of sha256 and url"),
    (Artifact, {"sha256": SHA}, "exactly one of sha256 and url"),
    (Artifact, {"url": "", "sha256": SHA[:-1]}, "64 lower-case hex digits"),
    (Artifact, {"url": "", "sha256": SHA.upper()}, "64 lower-case hex digits"),
    (Artifact, {"url": "", "sha256": SHA + "\n"}, "64 lower-case hex digits"),
    (Artifact, {"url": "", "sha256": "../" + SHA[3:]}, "64 lower-case hex digits"),
    (Artifact, {"url": "file:/a\0b"}, "must not contain NUL"),
    (Artifact, {"size": -1}, "size must be between"),
    (Artifact, {"size": 2**63}, "size must be between"),
    (DriverDescription, {"main": "b.py"}, "not one of its files"),
    (DriverDescription, {"py_files": ("b.zip",)}, "not one of its files"),
    (DriverDescription, {"jars": ("b.jar",)}, "not one of its files"),
    (DriverDescription, {"artifacts": (SCRIPT, SCRIPT)}, "same name"),
    (DriverDescription, {"cores": -1}, "cores must be between"),
    (DriverDescription, {"cores": UNLIMITED + 1}, "cores must be between"),
    (DriverDescription, {"memory_mib": -1}, "memory_mib must be between"),
    (DriverDescription, {"memory_mib": UNLIMITED + 1}, "memory_mib must be between"),
    (DriverDescription, {"args": ("a", "b\0c")}, "must not contain NUL"),
    (DriverDescription, {"java_options": ("-Da=\0",)}, "must not contain NUL"),
    (DriverDescription, {"main_class": "a\0"}, "must not contain NUL"),
    (DriverDescription, {"conf": {"spark.a": "\0"}}, "must not contain NUL"),
    (DriverDescription, {"env": {"": "x"}}, "malformed"),
    (DriverDescription, {"env": {"A=B": "x"}}, "malformed"),
    (DriverDescription, {"env": {"A\0": "x"}}, "must not contain NUL"),
    (DriverDescription, {"env": {"A": "x\0"}}, "must not contain NUL"),
    (Command, {"argv": ()}, "must not be empty"),
    (Command, {"argv": ("",)}, "must not be empty"),
    (Command, {"argv": ("a", "\0")}, "must not contain NUL"),
    (Command, {"env": {"A=": "x"}}, "malformed"),
    (ApplicationDescription, {"max_cores": 0}, "max_cores must be between"),
    (ApplicationDescription, {"max_cores": UNLIMITED + 1}, "max_cores must be between"),
    (ApplicationDescription, {"cores_per_executor": 0}, "cores_per_executor must be between"),
    (ApplicationDescription, {"memory_mib": -1}, "memory_mib must be between"),
    (ApplicationDescription, {"executor_limit": -1}, "executor_limit must be between"),
    (ApplicationDescription, {"name": "a\0"}, "must not contain NUL"),
    (Exit, {"code": 0, "signal": 9}, "by code 0 and by signal 9"),
    (Exit, {"code": -(2**31) - 1}, "code must be between"),
    (Exit, {"code": 2**63}, "code must be between"),
    (Exit, {"signal": -1}, "signal must be between"),
    (DriverReport, {"driver_id": "../../etc"}, "not the id of a driver"),
    (DriverReport, {"driver_id": "app-20270101000000-0000"}, "not the id of a driver"),
    (DriverReport, {"attempt": 0}, "attempt must be between"),
    (DriverReport, {"started": math.nan}, "must be a time"),
    (DriverReport, {"started": math.inf}, "must be a time"),
    (DriverReport, {"started": -1.0}, "must be a time"),
    (DriverReport, {"pid": -1}, "pid must be between"),
    (ExecutorReport, {"app_id": "app-1"}, "not the id of an application"),
    (ExecutorReport, {"executor_id": -1}, "executor_id must be between"),
    (ExecutorReport, {"executor_id": UNLIMITED}, "executor_id must be between"),
    (ExecutorReport, {"cores": 0}, "cores must be between"),
    (ExecutorReport, {"cores": 2**62}, "cores must be between"),
    (ExecutorReport, {"memory_mib": -1}, "memory_mib must be between"),
    (ExecutorReport, {"started": math.nan}, "must be a time"),
    (RegisterApplication, {"highest_executor_id": -2}, "not the id of an executor"),
    (RegisterApplication, {"highest_executor_id": 2**63}, "not the id of an executor"),
    (RegisterApplication, {"highest_executor_id": UNLIMITED}, "not the id of an executor"),
    (RegisterApplication, {"ended": (view(id=-1),)}, "cannot have"),
    (RegisterApplication, {"ended": (view(cores=2**63),)}, "cannot have"),
    (RegisterApplication, {"ended": (view(), view(id=1, memory_mib=-1))}, "cannot have"),
]


@pytest.mark.parametrize("kind", LEGAL, ids=lambda kind: kind.__name__)
def test_what_the_tables_start_from_is_legal(kind: type) -> None:
    value = kind(**LEGAL[kind])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind) == value


@pytest.mark.parametrize(("kind", "fault", "complaint"), ILLEGAL)
def test_an_illegal_value_can_neither_be_built_nor_decoded(kind: type, fault: dict[str, Any], complaint: str) -> None:
    fields = LEGAL[kind] | fault
    with pytest.raises(ValueError, match=complaint) as caught:
        kind(**fields)
    assert str(caught.value).isprintable()
    encoded = msgspec.msgpack.encode(fields | ({"type": kind.__name__} if kind is RegisterApplication else {}))
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.msgpack.decode(encoded, type=kind)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (DriverDescription, {"args": ("caf\udce9",)}),
        (DriverDescription, {"env": {"A": "\udcff"}}),
        (DriverDescription, {"name": "\udcff"}),
        (Command, {"argv": ("\udcff",)}),
        (ApplicationDescription, {"name": "\udcff"}),
        (Artifact, {"name": "\udcff"}),
    ],
)
def test_text_that_is_not_utf_8_is_refused_where_it_is_given(kind: type, fields: dict[str, Any]) -> None:
    """Python hands over undecodable command-line arguments as lone surrogates, which no message can carry."""
    with pytest.raises(ValueError, match="must be UTF-8"):
        kind(**LEGAL[kind] | fields)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Artifact, {"name": "..."}),
        (Artifact, {"name": "stdout.txt"}),
        (Artifact, {"name": " ü\n\\ "}),
        (Artifact, {"url": "", "sha256": SHA, "size": 2**40}),
        (DriverDescription, {"cores": 0, "memory_mib": 0}),
        (DriverDescription, {"cores": UNLIMITED, "memory_mib": UNLIMITED}),
        (DriverDescription, {"args": ("", " ", "\n", "{{CORES}}", "ü\u2603")}),
        (DriverDescription, {"env": {"A": "", "with space": "x=y"}}),
        (ApplicationDescription, {"max_cores": None, "cores_per_executor": None, "executor_limit": 0}),
        (Exit, {"code": 255}),
        (Exit, {"signal": 64}),
        (DriverReport, {"driver_id": "driver-20270101000000-123456789012"}),
        (RegisterApplication, {"ended": (view(), view(id=7))}),
    ],
)
def test_the_limits_themselves_are_legal(kind: type, fields: dict[str, Any]) -> None:
    value = kind(**LEGAL[kind] | fields)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind) == value


@pytest.mark.parametrize(
    ("pattern", "identifier", "legal"),
    [
        (APP_ID, "app-20270101000000-0000", True),
        (APP_ID, "app-20270101000000-123456789012", True),
        (APP_ID, "app-20270101000000-1234567890123", False),
        (APP_ID, "app-20270101000000-000", False),
        (APP_ID, "app-2027010100000-0000", False),
        (APP_ID, "app-20270101000000-0000\n", False),
        (APP_ID, "app-\u0662\u0660270101000000-0000", False),
        (APP_ID, "app-20270101000000-000\u0661", False),
        (DRIVER_ID, "driver-20270101000000-0000", True),
        (DRIVER_ID, "driver-20270101000000-0000/..", False),
        (DRIVER_ID, "driver-20270101000000--1", False),
        (WORKER_ID, "worker-20270101000000-host.example-7078", True),
        (WORKER_ID, "worker-20270101000000-[fe80::1]-7078", True),
        (WORKER_ID, "worker-20270101000000-h/h-7078", False),
        (WORKER_ID, "worker-20270101000000-h-707800", False),
    ],
)
def test_ids(pattern: Any, identifier: str, legal: bool) -> None:
    assert bool(pattern.fullmatch(identifier)) is legal


@pytest.mark.parametrize(
    ("exit", "status", "success"),
    [
        (Exit(code=0), 0, True),
        (Exit(code=3), 3, False),
        (Exit(signal=9), 137, False),
        (Exit(reason="there is no such program"), None, False),
    ],
)
def test_how_an_exit_counts(exit: Exit, status: int | None, success: bool) -> None:
    assert (exit.status, exit.is_success) == (status, success)


def test_values_do_not_share_their_defaults() -> None:
    one, other = Command(argv=("a",)), Command(argv=("a",))
    one.env["A"] = "x"
    assert other.env == {}


# --- round trips -----------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10)
ENVIRONMENT = st.dictionaries(TEXT.filter(lambda name: name and "=" not in name), TEXT, max_size=3)
AMOUNT = st.integers(0, UNLIMITED)
NAMES = TEXT.filter(lambda name: name not in {"", ".", "..", "stdout", "stderr"} and "/" not in name)


@st.composite
def descriptions(draw: st.DrawFn) -> DriverDescription:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    artifacts = tuple(
        Artifact(name=name, sha256=SHA, size=draw(st.integers(0, 2**62)), executable=draw(st.booleans()))
        if draw(st.booleans())
        else Artifact(name=name, url=draw(TEXT.filter(bool)))
        for name in names
    )
    some = st.lists(st.sampled_from(names), unique=True).map(tuple)
    return DriverDescription(
        kind=draw(st.sampled_from(["python", "archive", "jar", "program"])),
        main=draw(st.sampled_from(names)),
        name=draw(TEXT),
        main_class=draw(TEXT),
        args=tuple(draw(st.lists(TEXT, max_size=3))),
        env=draw(ENVIRONMENT),
        artifacts=artifacts,
        py_files=draw(some),
        jars=draw(some),
        java_options=tuple(draw(st.lists(TEXT, max_size=2))),
        conf=draw(st.dictionaries(TEXT, TEXT, max_size=2)),
        cores=draw(AMOUNT),
        memory_mib=draw(AMOUNT),
        supervise=draw(st.booleans()),
        max_restarts=draw(st.integers(-1, 100)),
        user=draw(TEXT),
    )


APPLICATIONS = st.builds(
    ApplicationDescription,
    name=TEXT,
    command=st.builds(Command, argv=st.lists(TEXT.filter(bool), min_size=1, max_size=3).map(tuple), env=ENVIRONMENT),
    user=TEXT,
    max_cores=st.none() | st.integers(1, UNLIMITED),
    cores_per_executor=st.none() | st.integers(1, UNLIMITED),
    memory_mib=AMOUNT,
    executor_limit=AMOUNT,
    ui_url=TEXT,
    finite=st.booleans(),
)
EXITS = st.builds(Exit, code=AMOUNT, reason=TEXT) | st.builds(Exit, signal=AMOUNT, reason=TEXT)
TIMES = st.floats(0, 1e12)
DRIVER_REPORTS = st.builds(
    DriverReport,
    driver_id=st.from_regex(DRIVER_ID, fullmatch=True),
    attempt=st.integers(1, UNLIMITED),
    state=st.sampled_from(DriverState),
    driver=descriptions(),
    started=TIMES,
    pid=AMOUNT,
    exit=EXITS,
)
EXECUTOR_REPORTS = st.builds(
    ExecutorReport,
    app_id=st.from_regex(APP_ID, fullmatch=True),
    executor_id=st.integers(0, HIGHEST_EXECUTOR_ID),
    cores=st.integers(1, UNLIMITED),
    memory_mib=AMOUNT,
    state=st.sampled_from(ExecutorState),
    app=APPLICATIONS,
    started=TIMES,
    pid=AMOUNT,
    exit=EXITS,
)


@settings(max_examples=150, deadline=None)
@given(value=DRIVER_REPORTS | EXECUTOR_REPORTS)
def test_every_legal_value_survives_the_wire(value: DriverReport | ExecutorReport) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=type(value)) == value
