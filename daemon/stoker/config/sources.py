"""Where settings come from: the process environment, ``spark-env``, ``-D`` options, properties files.

Precedence: command line, then environment (its ``-D`` options included), then ``spark-env``, then the properties file.
"""

from __future__ import annotations

import difflib
import io
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stoker.config import types
from stoker.config.registry import INEFFECTIVE, OUR_NAMESPACES, PROPERTIES
from stoker.errors import ConfigError, UsageError

Daemon = Literal["master", "worker"]
_OPTS: dict[Daemon | None, tuple[str, ...]] = {
    "master": ("SPARK_JAVA_OPTS", "SPARK_DAEMON_JAVA_OPTS", "SPARK_MASTER_OPTS"),
    "worker": ("SPARK_JAVA_OPTS", "SPARK_DAEMON_JAVA_OPTS", "SPARK_WORKER_OPTS"),
    None: (),
}


@dataclass(frozen=True)
class Setting:
    value: str
    source: str  # for messages: where it was set


@dataclass
class Settings:
    """The merged view. ``get`` gives a property's typed value; ``ignored`` are JVM flags without effect here."""

    environ: Mapping[str, str]
    conf_dir: Path
    properties: dict[str, Setting] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    heap_mib: int | None = None

    def get(self, name: str) -> Any:
        """The property's typed value, or its default. Raises ConfigError for an ill-typed one."""
        known = PROPERTIES[name]
        setting = self.properties.get(name)
        if setting is None:
            return known.default
        try:
            return known.parse(setting.value)
        except UsageError as error:
            raise ConfigError(f"{name} in {setting.source}: {error} (for example {known.example})") from None

    def is_set(self, name: str) -> bool:
        return name in self.properties

    def variable(self, *names: str) -> str | None:
        """The first of these environment variables that is set and not empty."""
        for name in names:
            value = self.environ.get(name)
            if value:
                return value
        return None

    def parsed(self, parse: Any, *names: str) -> Any:
        """As ``variable``, parsed; None when unset. Raises ConfigError naming the variable."""
        for name in names:
            value = self.environ.get(name)
            if value:
                try:
                    return parse(value)
                except UsageError as error:
                    raise ConfigError(f"{name}: {error}") from None
        return None


def load_settings(
    environ: Mapping[str, str], *, properties_file: str | None = None, daemon: Daemon | None = None
) -> Settings:
    """Read all sources. Raises ConfigError with file and line for what cannot be read."""
    conf_dir = configuration_folder(environ)
    merged = {**read_spark_env(conf_dir), **environ}
    settings = Settings(environ=merged, conf_dir=conf_dir)
    path = Path(properties_file) if properties_file else conf_dir / "spark-defaults.conf"
    if properties_file or path.exists():
        for name, value in read_properties(path).items():
            settings.properties[name] = Setting(value, str(path))
    for variable in _OPTS[daemon]:
        _apply_options(settings, variable, merged.get(variable, ""))
    settings.warnings += unknown_properties(settings.properties)
    return settings


def configuration_folder(environ: Mapping[str, str]) -> Path:
    """$SPARK_CONF_DIR, else /etc/stoker if it is there, else ~/.config/stoker."""
    if environ.get("SPARK_CONF_DIR"):
        return Path(environ["SPARK_CONF_DIR"])
    system = Path("/etc/stoker")
    if system.is_dir():
        return system
    return Path(environ.get("XDG_CONFIG_HOME") or home(environ) / ".config") / "stoker"


def home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def read_spark_env(conf_dir: Path) -> dict[str, str]:
    for name in ("spark-env", "spark-env.sh"):
        path = conf_dir / name
        if path.exists():
            return parse_spark_env(path)
    return {}


def parse_spark_env(path: Path) -> dict[str, str]:
    """Assignments (``export`` allowed), comments, ``${VARIABLE}``; nothing is executed. Raises ConfigError."""
    from dotenv.parser import parse_stream  # noqa: PLC0415 - only where there is such a file
    from dotenv.variables import parse_variables  # noqa: PLC0415

    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(_read(path))):
        line = binding.original.line
        text = binding.original.string.strip()
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError(f"{path}:{line}: {text.splitlines()[0]!r} is not NAME=VALUE")
        if binding.key is None:
            continue
        value = binding.value or ""
        if "`" in value or "$(" in value:
            raise ConfigError(f"{path}:{line}: {binding.key} runs a command; write its result instead")
        values[binding.key] = "".join(atom.resolve(values) for atom in parse_variables(value))
    return values


def read_properties(path: Path) -> dict[str, str]:
    """``spark-defaults.conf``: name, white space or = or :, value. Raises ConfigError."""
    import javaproperties  # noqa: PLC0415 - only where there is such a file

    try:
        loaded: dict[str, str] = javaproperties.loads(_read(path))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    return {name: value.strip() for name, value in loaded.items()}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not a text file") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def _apply_options(settings: Settings, variable: str, text: str) -> None:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{variable}: {error}: {text!r}") from None
    for word in words:
        if word.startswith("-D") and "=" in word:
            name, _, value = word[2:].partition("=")
            settings.properties[name] = Setting(value, variable)
        elif word.startswith("-Xmx"):
            try:
                settings.heap_mib = max(1, types.parse_bytes(word[4:]) // 2**20)
            except UsageError as error:
                raise ConfigError(f"{variable}: {word}: {error}") from None
        elif word.startswith("-"):
            settings.ignored.append(f"{word} in {variable}")
        else:
            raise ConfigError(f"{variable}: {word!r} is not an option: write properties as -Dname=value")


def unknown_properties(names: Mapping[str, Setting]) -> list[str]:
    """A line for each name in our namespaces that means nothing to us."""
    lines = []
    for name, setting in names.items():
        if name in INEFFECTIVE:
            lines.append(f"{name} in {setting.source} has no effect in this version")
        elif (
            name.startswith(OUR_NAMESPACES) and name not in PROPERTIES and not name.startswith("spark.worker.resource.")
        ):
            near = difflib.get_close_matches(name, PROPERTIES, 1)
            hint = f": did you mean {near[0]}?" if near else ""
            lines.append(f"{setting.source} sets the unknown property {name}{hint}")
    return lines
