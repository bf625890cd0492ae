"""A submission: options, properties and files become one ``DriverDescription`` (spec 2.3, 2.4)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, get_args

import msgspec

from stoker.client.submit.sources import (
    PY_FILES,
    FileIndex,
    Source,
    check_program,
    check_suffixes,
    combined,
    file_name,
    main_class_of,
    program_kind,
)
from stoker.config.client import ClientConfig, user_name
from stoker.config.ineffective import DAEMONS
from stoker.config.registry import PROPERTIES
from stoker.config.types import parse_memory, parse_time_limit
from stoker.core.model.pools import POOL_PROPERTY, PRIORITY_PROPERTY
from stoker.core.model.resources import GPU, amounts_in, parse_amount
from stoker.core.model.values import DRIVER_ID, AfterEnd, DriverDescription, DriverKind
from stoker.errors import ConfigError, UsageError, did_you_mean

_AUTHENTICATE = "spark.authenticate"  # of daemons, too, and secret: sent only with programs that connect with it


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a submission. Empty or None: the properties decide, else the defaults. ``cores``, ``memory_mib`` and the
    like win over ``conf``."""

    app: str
    args: Sequence[str] = ()
    name: str = ""
    main_class: str = ""
    files: Sequence[str] = ()  # paths and URLs
    py_files: Sequence[str] = ()
    jars: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    conf: Mapping[str, str] | None = None
    cores: int | None = None
    memory_mib: int | None = None
    supervise: bool = False
    time_limit: float | None = None  # seconds
    hold: bool = False
    after: str = ""  # ID[,ID][:ok|any|failed]
    array: str = ""  # of indices, as 1-1000%20


class DriverOptions(TypedDict, total=False):
    """Keywords of ``Client.submit`` and ``Client.describe``. A keyword that is missing or None comes from ``conf``, else from
    ``spark-defaults.conf``, else from the defaults named here."""

    name: str  # shown by ``stoker status``; default: the program's file name
    main_class: str  # a jar's class, or the entry point ``package.module:function`` of a .pyz or .whl
    cores: int | None  # of the driver itself, at least 0; ``spark.driver.cores``, default 1
    memory: str | int | None  # of the driver itself: a size such as "2g", or MiB; ``spark.driver.memory``, default 1g
    gpus: int | None  # of the driver itself, at least 1; ``spark.driver.resource.gpu.amount``, default none
    resources: Mapping[str, int] | None  # named resources of the driver itself; ``spark.driver.resource.NAME.amount``
    supervise: bool  # restart the program when it fails or loses its worker
    hold: bool  # do not start it before ``Client.release(ID)``
    after: str  # ids of drivers, with commas: start it when all have ended; with ":any" or ":failed" at the end, not ok
    array: str  # indices, as "1-1000", "0-99:10" or "1,5,7-9"; with "%20" at the end at most 20 at once
    time_limit: str | float | None  # of one attempt: "2h", or seconds; ``spark.stoker.timeLimit``, default none
    env: Mapping[str, str] | None  # added to its environment
    conf: Mapping[str, str] | None  # ``spark.*`` properties
    files: Sequence[str]  # paths or URLs of files for its working directory
    py_files: Sequence[str]  # paths or URLs of .py, .zip, .egg and .whl files for its PYTHONPATH
    jars: Sequence[str]  # paths or URLs of .jar files for its class path


def options_of(app: str | os.PathLike[str], args: Sequence[str], keywords: DriverOptions) -> Options:
    """Raises UsageError for a malformed size or time limit, and TypeError for an unknown keyword."""
    known: dict[str, Any] = dict(keywords)
    for name in known.keys() - DriverOptions.__annotations__.keys():
        hint = did_you_mean(name, DriverOptions.__annotations__)
        raise TypeError(f"unexpected keyword argument {name!r}" + (f": {hint}" if hint else ""))
    memory = known.pop("memory", None)
    mib = parse_memory(memory) if isinstance(memory, str) else memory
    named = dict(known.pop("resources", None) or {})
    gpus = known.pop("gpus", None)
    if gpus is not None:
        named[GPU] = gpus
    if named:
        known["conf"] = {**(known.get("conf") or {}), **_as_properties(named)}
    limit = known.pop("time_limit", None)
    seconds = parse_time_limit(limit) if isinstance(limit, str) else limit
    return Options(app=os.fspath(app), args=args, memory_mib=mib, time_limit=seconds, **known)


def _as_properties(named: Mapping[str, int]) -> dict[str, str]:
    try:
        for name, amount in named.items():
            parse_amount(f"the amount of {name}", str(amount))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return {f"spark.driver.resource.{name}.amount": str(amount) for name, amount in named.items()}


def describe(options: Options, config: ClientConfig, book: FileIndex) -> DriverDescription:
    """Describe what to submit; ``book`` gets its local files. Raises UsageError or ConfigError."""
    kind = program_kind(options.app)
    conf = submitted_conf(config.properties, options.conf or {}, kind)
    main_class = _main_class(kind, options)
    if kind == "program":
        check_program(options.app)
    parents, after_end = parse_after(options.after)
    _check_array(options.array)
    main = book.source(options.app, executable=kind == "program")
    check_suffixes("--py-files", options.py_files, PY_FILES)
    check_suffixes("--jars", options.jars, (".jar",))
    py_files, jars, files = (
        [book.source(name) for name in names] for names in (options.py_files, options.jars, options.files)
    )
    env = dict(config.forwarded_env)
    java_options = _words("SPARK_JAVA_OPTS", env.pop("SPARK_JAVA_OPTS", ""))
    java_options += _words("spark.driver.extraJavaOptions", conf.get("spark.driver.extraJavaOptions", ""))
    env.update(options.env or {})
    _check_text("argument", options.args)
    _check_text("environment variable", (word for pair in env.items() for word in pair))
    _check_text("property", (word for pair in conf.items() for word in pair))
    try:
        return DriverDescription(
            kind=kind,
            main=main.artifact.name,
            name=options.name or conf.get("spark.app.name", ""),
            main_class=main_class,
            args=tuple(options.args),
            env=env,
            artifacts=combined([main, *py_files, *jars, *files]),
            py_files=_names(py_files),
            jars=_names(jars),
            java_options=tuple(java_options),
            conf=conf,
            cores=_typed(conf, "spark.driver.cores") if options.cores is None else options.cores,
            memory_mib=_typed(conf, "spark.driver.memory") if options.memory_mib is None else options.memory_mib,
            supervise=options.supervise or _typed(conf, "spark.driver.supervise"),
            max_restarts=_typed(conf, "spark.stoker.driver.maxRestarts"),
            time_limit=_typed(conf, "spark.stoker.timeLimit") if options.time_limit is None else options.time_limit,
            max_disk_mib=_typed(conf, "spark.stoker.driver.maxDisk"),
            hold=options.hold,
            after=parents,
            after_end=after_end,
            array=options.array,
            user=user_name(),
            pool=conf.get(POOL_PROPERTY, ""),
            priority=_typed(conf, PRIORITY_PROPERTY),
            resources=amounts_in(conf, "spark.driver"),
        )
    except ValueError as error:  # the values check themselves
        raise UsageError(str(error)) from None


def parse_after(text: str) -> tuple[tuple[str, ...], AfterEnd]:
    """Read ``ID[,ID][:ok|any|failed]``. Raises UsageError, which names the option."""
    ids, _, end = text.partition(":")
    wanted = next((known for known in get_args(AfterEnd) if known == (end or "ok")), None)
    if wanted is None:
        raise UsageError(f"--after: {end!r} is not ok, any or failed: write it like --after ID,ID:any")
    parents = tuple(dict.fromkeys(part.strip() for part in ids.split(",") if part.strip()))
    for parent in parents:
        if not DRIVER_ID.fullmatch(parent):
            raise UsageError(f"--after: {parent!r} is not the id of a driver: write it like driver-20260131120000-0000")
    if text and not parents:
        raise UsageError("--after: name the drivers to wait for: --after ID[,ID][:ok|any|failed]")
    return parents, wanted


def _check_array(text: str) -> None:
    """Raise UsageError for indices that are malformed, or too many."""
    if text:
        from stoker.core.model.arrays.indices import parse_array  # noqa: PLC0415 - most submissions have none

        try:
            parse_array(text)
        except ValueError as error:
            raise UsageError(str(error)) from None


def submitted_conf(defaults: Mapping[str, str], said: Mapping[str, str], kind: DriverKind) -> dict[str, str]:
    """Return the properties that go with a submission: ``spark.*``, but not the daemons'. A secret of the ``defaults`` goes
    with a jar only; one given for this submission (``said``: ``--conf``) goes with any program."""
    left = DAEMONS if kind == "jar" else (*DAEMONS, _AUTHENTICATE)
    conf = {name: value for name, value in defaults.items() if not name.startswith(left)}
    conf.update((name, value) for name, value in said.items() if not name.startswith(DAEMONS))
    return {name: value for name, value in conf.items() if name.startswith("spark.")}


def _main_class(kind: DriverKind, options: Options) -> str:
    if options.main_class and kind in ("python", "program"):
        raise UsageError(f"--class names the entry point of a .pyz, .whl or .jar; {file_name(options.app)} has none")
    if kind == "jar":
        return options.main_class or main_class_of(options.app)
    if options.app.lower().endswith(".whl") and not options.main_class:
        raise UsageError(
            f"name the entry point of {options.app}: --class PACKAGE.MODULE or --class PACKAGE.MODULE:FUNCTION"
        )
    return options.main_class


def _typed(conf: Mapping[str, str], name: str) -> Any:
    known = PROPERTIES[name]
    if name not in conf:
        return known.default
    try:
        return known.parse(conf[name])
    except UsageError as error:
        raise ConfigError(f"{name}: {error} (for example {known.example})") from None


def _names(sources: Sequence[Source]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source.artifact.name for source in sources))


def _words(what: str, text: str) -> list[str]:
    if not text:
        return []
    import shlex  # noqa: PLC0415 - few submissions have such options

    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{what}: {error}: {text!r}") from None


def _check_text(what: str, words: Iterable[str]) -> None:
    """Raise UsageError for NUL, and for bytes that are not text in the locale's encoding: messages cannot carry them."""
    for word in words:
        if not word.isascii():
            try:
                word.encode()
            except UnicodeEncodeError:
                raise UsageError(f"{what} {word!r} is not UTF-8 text") from None
        if "\0" in word:
            raise UsageError(f"{what} {word!r} contains a NUL character")
