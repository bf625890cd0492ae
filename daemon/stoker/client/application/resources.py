"""Makes ``engines.base.Resources`` of the settings of an application."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stoker.client.submit.sources import PY_FILES
from stoker.config.client import ClientConfig
from stoker.config.registry import PROPERTIES
from stoker.core.model.limits import DISK_VARIABLE, EXECUTOR_DISK_PROPERTY
from stoker.core.model.pools import (
    POOL_PROPERTY,
    POOL_VARIABLE,
    PRIORITY_PROPERTY,
    PRIORITY_VARIABLE,
    QUEUE_PROPERTY,
)
from stoker.core.model.profiles import MIN_EXECUTORS_PROPERTY, MIN_EXECUTORS_VARIABLE
from stoker.core.model.resources import EXECUTORS_VARIABLE, amounts_in, properties_in
from stoker.core.model.values import Command
from stoker.engines.base import Resources
from stoker.errors import ConfigError, Unreachable, UsageError

_ENV = "spark.executorEnv."
# How ``stoker submit`` passes limits to a driver (engines.driver). The program's own settings win.
_SUBMITTED = {
    "spark.cores.max": "STOKER_CORES_MAX",
    "spark.executor.cores": "STOKER_EXECUTOR_CORES",
    "spark.executor.memory": "STOKER_EXECUTOR_MEMORY",
    "spark.submit.pyFiles": "STOKER_PY_FILES",
    EXECUTOR_DISK_PROPERTY: DISK_VARIABLE,
    POOL_PROPERTY: POOL_VARIABLE,
    PRIORITY_PROPERTY: PRIORITY_VARIABLE,
    MIN_EXECUTORS_PROPERTY: MIN_EXECUTORS_VARIABLE,
}
CONNECT_TIMEOUT = 10.0  # seconds


def with_submitted(conf: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the program, completed by those of its submission."""
    submitted = {name: environ[variable] for name, variable in _SUBMITTED.items() if environ.get(variable)}
    submitted |= properties_in(environ.get(EXECUTORS_VARIABLE, ""), "spark.executor")
    return {**submitted, **{name: _text(value) for name, value in conf.items()}}


def resources_of(config: ClientConfig, environ: Mapping[str, str], *, master_url: str) -> Resources:
    """``master_url`` is that of the leading master. Raises ConfigError that names an invalid property, and Unreachable
    when this machine's address towards the master cannot be found."""

    def setting(name: str) -> Any:
        known = PROPERTIES[name]
        text = config.properties.get(name)
        if text is None:
            return known.default
        try:
            return known.parse(text)
        except UsageError as error:
            raise ConfigError(f"{name}: {error} (for example {known.example})") from None

    least, most = setting("spark.dynamicAllocation.minExecutors"), setting("spark.dynamicAllocation.maxExecutors")
    if least > most:
        raise ConfigError(f"spark.dynamicAllocation.minExecutors is {least}, more than maxExecutors, which is {most}")
    initial = setting("spark.dynamicAllocation.initialExecutors")
    own = {name[len(_ENV) :]: value for name, value in config.properties.items() if name.startswith(_ENV)}
    return Resources(
        host=setting("spark.driver.host") or _address_towards(master_url),
        port=setting("spark.driver.port"),
        max_cores=setting("spark.cores.max"),
        cores=setting("spark.executor.cores"),
        memory_mib=setting("spark.executor.memory"),
        time_limit=setting("spark.stoker.timeLimit"),
        max_disk_mib=setting(EXECUTOR_DISK_PROPERTY),
        dynamic=setting("spark.dynamicAllocation.enabled"),
        least=least,
        initial=least if initial is None else min(max(initial, least), most),
        most=most,
        python=setting("spark.pyspark.python") or environ.get("PYSPARK_PYTHON", ""),
        env={**config.forwarded_env, **own},
        py_files=_py_files(setting("spark.submit.pyFiles")),
        named=amounts_in(config.properties, "spark.executor"),  # checked by ``client_config``
    )


def wanted_sharing(properties: Mapping[str, str]) -> tuple[str, int | None]:
    """Return the pool ("": the default one) and the priority that the properties name. Raises ConfigError."""
    priority = properties.get(PRIORITY_PROPERTY)
    try:
        return properties.get(POOL_PROPERTY, ""), None if priority is None else PROPERTIES[PRIORITY_PROPERTY].parse(
            priority
        )
    except UsageError as error:
        raise ConfigError(f"{PRIORITY_PROPERTY}: {error}") from None


def min_executors(properties: Mapping[str, str]) -> int:
    """Return how many executors the application needs at once to begin. Raises ConfigError."""
    known = PROPERTIES[MIN_EXECUTORS_PROPERTY]
    try:
        return int(known.parse(properties.get(known.name, str(known.default))))
    except UsageError as error:
        raise ConfigError(f"{known.name}: {error} (for example {known.example})") from None


def with_queue(command: Command, properties: Mapping[str, str]) -> Command:
    """Let the command say what Spark calls a queue: a cluster without pools ignores it."""
    queue = properties.get(QUEUE_PROPERTY, "")
    if not queue or POOL_VARIABLE in command.env:
        return command
    return Command(argv=command.argv, env={**command.env, POOL_VARIABLE: queue})


def _py_files(text: str) -> tuple[Path, ...]:
    paths = tuple(Path(part.strip()).absolute() for part in text.split(",") if part.strip())
    for path in paths:
        if path.suffix not in PY_FILES:
            raise ConfigError(f"spark.submit.pyFiles: {path} does not end in {' or '.join(PY_FILES)}")
        if not path.is_file():
            raise ConfigError(f"spark.submit.pyFiles: there is no file {path}")
    return paths


def _text(value: object) -> str:
    """Return the value as a properties file has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _address_towards(master_url: str) -> str:
    """Return this machine's address as the master sees it, so that executors can reach it."""
    host, _, port = master_url.removeprefix("spark://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT) as probe:
            address: str = probe.getsockname()[0]
    except OSError as error:
        raise Unreachable(f"cannot connect to the master {master_url}: {error}; or set spark.driver.host") from None
    return address
