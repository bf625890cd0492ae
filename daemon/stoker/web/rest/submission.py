"""Turns Spark's submission request into a driver.

``appResource`` names a jar, ``mainClass`` its main class. For a Python program, as Spark's guide submits it, ``mainClass`` is
``org.apache.spark.deploy.SparkSubmit``, and the first of ``appArgs`` is the program.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit

from stoker.config.types import parse_bool, parse_disk_limit, parse_integer, parse_memory, parse_time_limit
from stoker.core.model.pools import POOL_PROPERTY, PRIORITY_PROPERTY
from stoker.core.model.resources import amounts_in
from stoker.core.model.values import (
    HIGHEST_PRIORITY,
    RELEASE_PROPERTY,
    REMOTE_SCHEMES,
    Artifact,
    DriverDescription,
    DriverKind,
)
from stoker.errors import UsageError
from stoker.web.rest.protocol import CreateSubmission, MalformedRequest

SPARK_SUBMIT = "org.apache.spark.deploy.SparkSubmit"
_SCHEMES = ("file", "local", *REMOTE_SCHEMES)
_KINDS: dict[str, DriverKind] = {
    ".py": "python",
    ".pyz": "archive",
    ".whl": "archive",
    ".zip": "archive",
    ".egg": "archive",
}
_PLACEHOLDER = re.compile(r"\{\{(.*)\}\}")
# Variables of the submitter's or the master's machine (spec 2.4).
_NOT_FOR_DRIVERS = frozenset(
    {"SPARK_ENV_LOADED", "SPARK_HOME", "SPARK_CONF_DIR", "SPARK_LOCAL_IP", "SPARK_LOCAL_HOSTNAME"}
)
T = TypeVar("T")


def describe(
    request: CreateSubmission, *, master_url: str, environ: Mapping[str, str], allowed: tuple[re.Pattern[str], ...]
) -> DriverDescription:
    """Return the driver. A value that is exactly ``{{NAME}}`` is replaced from ``environ``. The program's URL must match one
    of the patterns ``allowed`` (empty: any URL). Raises MalformedRequest."""
    conf = _filled(request.sparkProperties, environ)
    conf["spark.master"] = master_url  # the client's value has the port of this interface
    env = _filled(request.environmentVariables, environ)
    env = {name: value for name, value in env.items() if name not in _NOT_FOR_DRIVERS}
    is_python = request.mainClass == SPARK_SUBMIT
    program, args = _python_program(request) if is_python else (request.appResource, request.appArgs)
    if allowed and not any(pattern.fullmatch(program) for pattern in allowed):
        raise MalformedRequest("Valid application jar path is required")
    if not program:
        raise MalformedRequest("Application jar is missing.")
    main = _artifact(program)
    jars = _artifacts(conf.get("spark.jars", ""))
    py_files = _artifacts(conf.get("spark.submit.pyFiles", ""))
    files = _artifacts(conf.get("spark.files", ""))
    conf.setdefault(RELEASE_PROPERTY, request.clientSparkVersion)
    try:
        return DriverDescription(
            kind=_kind(main.name) if is_python else "jar",
            main=main.name,
            name=conf.get("spark.app.name", ""),
            main_class="" if is_python else request.mainClass,
            args=tuple(args),
            env=env,
            artifacts=_each_once([main, *jars, *py_files, *files]),
            py_files=tuple(dict.fromkeys(artifact.name for artifact in py_files)) if is_python else (),
            jars=() if is_python else tuple(dict.fromkeys(a.name for a in jars if a.name != main.name)),
            java_options=tuple(_java_options(conf)),
            conf=conf,
            cores=_number(conf, "spark.driver.cores", 1),
            memory_mib=_typed(conf, "spark.driver.memory", parse_memory, 1024),
            supervise=_typed(conf, "spark.driver.supervise", parse_bool, False),
            pool=conf.get(POOL_PROPERTY, ""),
            priority=_typed(conf, PRIORITY_PROPERTY, lambda text: parse_integer(text, -HIGHEST_PRIORITY), None),
            max_restarts=_typed(conf, "spark.stoker.driver.maxRestarts", lambda text: parse_integer(text, -1), -1),
            resources=amounts_in(conf, "spark.driver"),
            time_limit=_typed(conf, "spark.stoker.timeLimit", parse_time_limit, 0.0),
            max_disk_mib=_typed(conf, "spark.stoker.driver.maxDisk", parse_disk_limit, 0),
        )
    except ValueError as error:  # DriverDescription checks its values
        raise MalformedRequest(f"Malformed request: {error}") from None


def check_properties(properties: Mapping[str, str]) -> None:
    """Check the properties that Spark's server checks. Raises MalformedRequest."""
    _typed(properties, "spark.driver.supervise", parse_bool, False)
    _number(properties, "spark.driver.cores", 1)
    _number(properties, "spark.cores.max", 1)
    _typed(properties, "spark.driver.memory", parse_memory, 1024)
    _typed(properties, "spark.executor.memory", parse_memory, 1024)
    try:
        for prefix in ("spark.driver", "spark.executor"):
            amounts_in(properties, prefix)
    except ValueError as error:
        raise MalformedRequest(f"Malformed request: {error}") from None


def _python_program(request: CreateSubmission) -> tuple[str, list[str]]:
    program, args = (request.appArgs[0], request.appArgs[1:]) if request.appArgs else (request.appResource, [])
    if program.startswith("-"):
        raise MalformedRequest(
            f"The first of appArgs must be the program, not {program[:40]!r}: send options as sparkProperties."
        )
    return program, args


def _kind(name: str) -> DriverKind:
    suffix = posixpath.splitext(name)[1].lower()
    if suffix not in _KINDS:
        raise MalformedRequest(f"{name!r} is not a Python program: it must end in one of {', '.join(sorted(_KINDS))}")
    return _KINDS[suffix]


def _artifacts(text: str) -> list[Artifact]:
    return [_artifact(part.strip()) for part in text.split(",") if part.strip()]


def _artifact(url: str) -> Artifact:
    """Return a file; as in Spark, a path without a scheme is on the worker."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise MalformedRequest(f"Malformed request: {url[:200]!r} is not a URL: {error}") from None
    if not parts.scheme and url.startswith("/"):
        url = "file://" + quote(url)
    elif parts.scheme not in _SCHEMES:
        raise MalformedRequest(
            f"Malformed request: {url[:200]!r} must be an absolute path or a URL of {', '.join(_SCHEMES)}"
        )
    name = posixpath.basename(unquote(urlsplit(url).path))
    try:
        return Artifact(name=name, url=url)
    except ValueError as error:
        raise MalformedRequest(f"Malformed request: {error}") from None


def _each_once(artifacts: list[Artifact]) -> tuple[Artifact, ...]:
    """Remove duplicates: spark.jars names the program's jar again."""
    by_name: dict[str, Artifact] = {}
    for artifact in artifacts:
        known = by_name.setdefault(artifact.name, artifact)
        if known.url != artifact.url:
            raise MalformedRequest(f"Malformed request: {known.url} and {artifact.url} have the same name")
    return tuple(by_name.values())


def _java_options(conf: Mapping[str, str]) -> list[str]:
    try:
        return [
            word
            for name in ("spark.driver.defaultJavaOptions", "spark.driver.extraJavaOptions")
            for word in shlex.split(conf.get(name, ""))
        ]
    except ValueError as error:
        raise MalformedRequest(f"Malformed request: the driver's Java options: {error}") from None


def _filled(values: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Replace values that are exactly ``{{NAME}}`` by NAME of the master's ``spark-env``, if it is there (spec 4)."""

    def fill(value: str) -> str:
        match = _PLACEHOLDER.fullmatch(value)
        return environ.get(match[1], value) if match else value

    return {name: fill(value) for name, value in values.items()}


def _number(conf: Mapping[str, str], name: str, default: int) -> int:
    return _typed(conf, name, lambda text: parse_integer(text, 0), default)


def _typed(conf: Mapping[str, str], name: str, parse: Callable[[str], T], default: T) -> T:
    if name not in conf:
        return default
    try:
        return parse(conf[name])
    except UsageError as error:
        raise MalformedRequest(f"Malformed request: property '{name}': {error}") from None
