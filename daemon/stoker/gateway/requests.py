"""Turns a Spark client's messages, which are Java objects, into Stoker's checked values. No I/O here.

Raises ``JavaStreamError`` for a message that is not what it claims to be, ``ValueError`` for an invalid request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from stoker.core.model.limits import (
    DISK_VARIABLE,
    DRIVER_DISK_PROPERTY,
    TIME_LIMIT_PROPERTY,
    TIME_LIMIT_VARIABLE,
    disk_limit,
    time_limit,
)
from stoker.core.model.pools import POOL_PROPERTY, QUEUE_PROPERTY
from stoker.core.model.profiles import DEFAULT_PROFILE, Profile
from stoker.core.model.resources import Amounts, amounts_of
from stoker.core.model.values import (
    UNLIMITED,
    ApplicationDescription,
    Artifact,
    Command,
    DriverDescription,
    SparkProgram,
)
from stoker.gateway import scala
from stoker.gateway.java_stream import JavaObject, JavaStreamError, Value
from stoker.gateway.primitives import Method, recorded
from stoker.gateway.releases import Release


class CannotRun(Exception):
    """The application needs something that this cluster does not have; one line says what."""


T = TypeVar("T", bool, int, str, JavaObject)
N = TypeVar("N", int, float)

_BUILT_IN = frozenset({"cores", "memory", "memoryOverhead", "offHeap", "pyspark.memory"})  # of Spark's own resources
_SECRET = "-Dspark.authenticate.secret="  # noqa: S105 - how an option begins
_WATCHES = "--worker-url"  # an executor exits when no worker of Spark listens there


def application(message: JavaObject, release: Release, *, auth: Method = "") -> ApplicationDescription:
    """Return the application of a ``RegisterApplication(appDescription, driver)``. ``auth``: how its sender authenticated."""
    described = _get(message, "appDescription", JavaObject)
    command = _get(described, "command", JavaObject)
    driver_host, driver_port = _address(_get(message, "driver", JavaObject))
    resources = _resources(_get(described, "defaultProfile", JavaObject))
    limit = scala.option(described.fields.get("initialExecutorLimit"))
    most = scala.option(described.fields.get("maxCores"))
    arguments = _without_worker(scala.texts(command.fields.get("arguments")))
    environment = scala.text_map(command.fields.get("environment"))
    return ApplicationDescription(
        name=_get(described, "name", str),
        user=_get(described, "user", str),
        command=Command(argv=(_get(command, "mainClass", str), *arguments), env=environment),
        max_cores=most if isinstance(most, int) else None,
        cores_per_executor=resources.get("cores"),
        memory_mib=resources.get("memory", 1024),
        executor_limit=limit if isinstance(limit, int) else UNLIMITED,
        ui_url=_get(described, "appUiUrl", str) if described.fields.get("appUiUrl") else "",
        spark=msgspec.structs.replace(
            _program(command, release, host=driver_host, port=driver_port, auth=auth), overhead_mib=_overhead(resources)
        ),
        time_limit=_limit(TIME_LIMIT_VARIABLE, environment, time_limit) or 0.0,
        max_disk_mib=_limit(DISK_VARIABLE, environment, disk_limit) or 0,
        resources=_named(resources),
    )


def _program(
    command: JavaObject, release: Release, *, host: str = "", port: int = 0, auth: Method = ""
) -> SparkProgram:
    java_options = tuple(scala.texts(command.fields.get("javaOpts")))
    proof, cipher = recorded(auth)
    return SparkProgram(
        release=release.version_by(java_options),
        driver_host=host,
        driver_port=port,
        auth=proof,
        cipher=cipher,
        java_options=java_options,
        class_path=tuple(scala.texts(command.fields.get("classPathEntries"))),
        library_path=tuple(scala.texts(command.fields.get("libraryPathEntries"))),
    )


def _overhead(resources: dict[str, int]) -> int | None:
    """Return what an executor may use beyond its heap, if the application has chosen it (spark.executor.memoryOverhead)."""
    chosen = resources.get("memoryOverhead")
    if chosen is None:
        return None
    return chosen + resources.get("offHeap", 0) + resources.get("pyspark.memory", 0)


def _without_worker(arguments: list[str]) -> list[str]:
    if _WATCHES in arguments:
        at = arguments.index(_WATCHES)
        return arguments[:at] + arguments[at + 2 :]
    return arguments


def _resources(profile: JavaObject) -> dict[str, int]:
    """Return amounts by name, of the built-in resources and of named ones; memory in MiB."""
    found: dict[str, int] = {}
    for name, request in scala.mapping(profile.fields.get("executorResources")):
        amount = request.fields.get("amount") if isinstance(request, JavaObject) else None
        if isinstance(name, str) and isinstance(amount, int):
            found[name] = amount
    return found


def _address(ref: JavaObject) -> tuple[str, int]:
    """Return host and port of an endpoint reference."""
    endpoint = _get(ref, "endpointAddress", JavaObject)
    address = _get(endpoint, "rpcAddress", JavaObject)
    return _get(address, "host", str), _get(address, "port", int)


def app_id(message: JavaObject) -> str:
    return _get(message, "appId", str)


def driver_id(message: JavaObject) -> str:
    return _get(message, "driverId", str)


def executors_wanted(message: JavaObject, app: ApplicationDescription) -> tuple[int, tuple[Profile, ...]]:
    """Return the target of a ``RequestExecutors`` for the default profile, and the other profiles with theirs."""
    wanted, profiles = 0, list[Profile]()
    for profile, count in scala.mapping(message.fields.get("resourceProfileToTotalExecs")):
        number = scala.unboxed(count)
        if not isinstance(profile, JavaObject) or not isinstance(number, int):
            raise JavaStreamError("a request for executors is malformed")
        number = min(max(number, 0), UNLIMITED)
        if profile.fields.get("_id") == DEFAULT_PROFILE:
            wanted = number
        else:
            profiles.append(_profile(profile, number, app))
    return wanted, tuple(profiles)


def _profile(profile: JavaObject, limit: int, app: ApplicationDescription) -> Profile:
    """Return a profile. Cores and memory that it does not name are the application's; other resources are not inherited."""
    sizes = _resources(profile)
    try:
        return Profile(
            id=_get(profile, "_id", int),
            executor_limit=limit,
            memory_mib=sizes.get("memory", app.memory_mib),
            cores_per_executor=sizes.get("cores", app.cores_per_executor),
            resources=_named(sizes),
        )
    except ValueError as error:
        raise CannotRun(str(error)) from None


def _named(resources: dict[str, int]) -> Amounts:
    return amounts_of({name: amount for name, amount in resources.items() if name not in _BUILT_IN})


def executor_ids(message: JavaObject) -> tuple[int, ...]:
    """Return the ids in a ``KillExecutors``; ids that are not numbers are unknown here, and left out."""
    texts = scala.texts(message.fields.get("executorIds"))
    return tuple(int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 10)


def driver(message: JavaObject, release: Release) -> DriverDescription:
    """Return the driver of a ``RequestSubmitDriver(driverDescription)``: a jar, run by Spark's ``DriverWrapper``."""
    described = _get(message, "driverDescription", JavaObject)
    command = _get(described, "command", JavaObject)
    url = _get(described, "jarUrl", str)
    jar = Artifact(name=unquote(urlsplit(url).path).rpartition("/")[2] or "app.jar", url=url)
    arguments = scala.texts(command.fields.get("arguments"))
    properties = _properties(scala.texts(command.fields.get("javaOpts")))
    return DriverDescription(
        kind="jar",
        main=jar.name,
        name=_main_of(arguments),
        main_class=_get(command, "mainClass", str),
        args=tuple(arguments),
        env=_for_driver(scala.text_map(command.fields.get("environment"))),
        artifacts=(jar,),
        cores=_get(described, "cores", int),
        memory_mib=_get(described, "mem", int),
        supervise=_get(described, "supervise", bool),
        spark=_program(command, release),
        pool=properties.get(POOL_PROPERTY, ""),
        conf={QUEUE_PROPERTY: properties[QUEUE_PROPERTY]} if QUEUE_PROPERTY in properties else {},
        resources=_required(described),
        time_limit=_limit(TIME_LIMIT_PROPERTY, properties, time_limit) or 0.0,
        max_disk_mib=_limit(DRIVER_DISK_PROPERTY, properties, disk_limit) or 0,
    )


def without_secret(driver: DriverDescription) -> DriverDescription:
    """Return the driver without the secret that Spark's client puts among its properties: records must not have it."""
    spark = driver.spark
    assert spark is not None
    options = tuple(option for option in spark.java_options if not option.startswith(_SECRET))
    return msgspec.structs.replace(driver, spark=msgspec.structs.replace(spark, java_options=options))


def _limit(name: str, given: Mapping[str, str], parse: Callable[[str], N]) -> N | None:
    """Return the limit that is given under this name; None without one. Raises ValueError."""
    try:
        return parse(given[name]) if given.get(name) else None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _properties(java_options: list[str]) -> dict[str, str]:
    """Return the properties that Spark's client passes to the driver's JVM."""
    words = (word[2:].partition("=") for word in java_options if word.startswith("-D"))
    return {name: value for name, _, value in words}


def _required(described: JavaObject) -> Amounts:
    """Return the named resources of a driver: a list of ``ResourceRequirement(resourceName, amount, ...)``."""
    found: dict[str, int] = {}
    required = described.fields.get("resourceReqs")
    for requirement in [] if required is None else scala.sequence(required):
        if not isinstance(requirement, JavaObject):
            raise JavaStreamError("a driver's resources are malformed")
        found[_get(requirement, "resourceName", str)] = _get(requirement, "amount", int)
    return amounts_of(found)


def _main_of(arguments: list[str]) -> str:
    """Return the user's main class: the third argument of ``DriverWrapper``."""
    return arguments[2] if len(arguments) > 2 else ""


# Variables of the submitter's machine; Spark's client sends its whole environment.
_NOT_FOR_OTHERS = frozenset({
    "HOME", "HOSTNAME", "JAVA_HOME", "LOGNAME", "MAIL", "OLDPWD", "PATH", "PWD", "SHELL", "SHLVL", "SPARK_CONF_DIR",
    "SPARK_HOME", "SPARK_LOCAL_DIRS", "SSH_AUTH_SOCK", "TERM", "TMPDIR", "USER", "_",
})  # fmt: skip


def _for_driver(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in _NOT_FOR_OTHERS}


def _get(holder: JavaObject, name: str, kind: type[T]) -> T:
    value: Value = scala.unboxed(holder.fields.get(name))
    if not isinstance(value, kind):
        raise JavaStreamError(f"{holder.name[:80]!r} has no {name}")
    return value
