"""Where settings come from: the process environment, ``spark-env``, ``-D`` options, properties files.

Precedence: command line, then environment (its ``-D`` options included), then ``spark-env``, then the properties file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from stoker.config import types
from stoker.config.ineffective import INEFFECTIVE
from stoker.config.properties_file import parse_properties
from stoker.config.registry import KEY_STORES, OUR_NAMESPACES, PROPERTIES, is_of_family
from stoker.config.spark_env import SparkEnv, find_spark_env, parse_spark_env, read_text
from stoker.config.variables import VARIABLES, WITHOUT_EFFECT
from stoker.errors import ConfigError, UsageError, did_you_mean

Daemon = Literal["master", "worker"]
_OPTS: dict[Daemon | None, tuple[str, ...]] = {
    "master": ("SPARK_JAVA_OPTS", "SPARK_DAEMON_JAVA_OPTS", "SPARK_MASTER_OPTS"),
    "worker": ("SPARK_JAVA_OPTS", "SPARK_DAEMON_JAVA_OPTS", "SPARK_WORKER_OPTS"),
    None: (),
}
SLIP = 0.92  # likeness of a name with one or two wrong letters; Spark's own names that look alike are less alike
_JVM_FLAGS_WITH_ARGUMENT = frozenset({
    "-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path", "--add-modules", "--add-opens",
    "--add-exports", "--add-reads", "--patch-module", "--limit-modules", "--enable-native-access",
})  # fmt: skip


class Setting(msgspec.Struct, frozen=True):
    value: str
    source: str  # for messages: where it was set


class Settings(msgspec.Struct):
    """The merged view. ``get`` gives a property's typed value; ``ignored`` are JVM flags without effect here."""

    environ: Mapping[str, str]
    conf_dir: Path
    properties: dict[str, Setting] = msgspec.field(default_factory=dict)
    ignored: list[str] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)
    heap_mib: int | None = None
    origins: dict[str, str] = msgspec.field(default_factory=dict)  # of variables that only spark-env sets, for messages
    exports: frozenset[str] = frozenset()  # the variables that spark-env names

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

    @property
    def exported(self) -> dict[str, str]:
        """The variables that ``spark-env`` exports for programs: those it names that do not configure daemons, as
        ``SPARK_MASTER_OPTS`` does, which may hold secrets."""
        return {name: self.environ[name] for name in sorted(self.exports) if name not in VARIABLES}

    def parsed(self, parse: Any, *names: str) -> Any:
        """As ``variable``, parsed; None when unset. Raises ConfigError naming the variable."""
        for name in names:
            value = self.environ.get(name)
            if value:
                try:
                    return parse(value)
                except UsageError as error:
                    raise ConfigError(f"{self.origins.get(name, name)}: {error}") from None
        return None


def load_settings(
    environ: Mapping[str, str], *, properties_file: str | None = None, daemon: Daemon | None = None
) -> Settings:
    """Read all sources. Raises ConfigError with file and line for what cannot be read."""
    conf_dir = configuration_folder(environ)
    env_file = find_spark_env(conf_dir)
    file = parse_spark_env(env_file, environ) if env_file else SparkEnv()
    from_file = file.values
    extended = {name: from_file[name] for name in file.extends}
    settings = Settings(environ={**from_file, **environ, **extended}, conf_dir=conf_dir)
    settings.exports = frozenset(from_file)
    settings.origins = {name: f"{name} in {env_file}" for name in from_file if name not in environ}
    path = Path(properties_file) if properties_file else conf_dir / "spark-defaults.conf"
    if properties_file or path.exists():
        for name, value in read_properties(path).items():
            settings.properties[name] = Setting(value, str(path))
    # The file's options first: one property set there and another in the environment are both in force.
    for variable in _OPTS[daemon]:
        apply_options(settings, f"{variable} in {env_file}", from_file.get(variable, ""))
    for variable in _OPTS[daemon]:
        apply_options(settings, variable, environ.get(variable, ""))
    settings.warnings += unknown_properties(settings.properties)
    if daemon:
        settings.warnings += _without_effect(settings)
    return settings


def _without_effect(settings: Settings) -> list[str]:
    """Return one line that names all settings that Spark obeys and this daemon does not; an empty list without any."""
    names = [(name, INEFFECTIVE.get(name, "")) for name in settings.properties if name in INEFFECTIVE]
    names += [(name, "TLS needs PEM files") for name in settings.properties if name in KEY_STORES]
    names += [
        (name, meaning.removeprefix(f"{WITHOUT_EFFECT}: "))
        for name, meaning in VARIABLES.items()
        if meaning.startswith(WITHOUT_EFFECT) and settings.environ.get(name)
    ]
    if not names:
        return []
    return ["without effect: " + ", ".join(f"{name} ({hint})" if hint else name for name, hint in names)]


def configuration_folder(environ: Mapping[str, str]) -> Path:
    """$SPARK_CONF_DIR, else /etc/stoker if it is there, else ~/.config/stoker."""
    if environ.get("SPARK_CONF_DIR"):
        return Path(environ["SPARK_CONF_DIR"])
    system = Path("/etc/stoker")
    if system.is_dir():
        return system
    return own_configuration_folder(environ)


def own_configuration_folder(environ: Mapping[str, str]) -> Path:
    """~/.config/stoker. Raises ConfigError for a user without a home folder."""
    return Path(environ.get("XDG_CONFIG_HOME") or home(environ) / ".config") / "stoker"


def home(environ: Mapping[str, str]) -> Path:
    """The user's home folder. Raises ConfigError for a user who has none."""
    if environ.get("HOME"):
        return Path(environ["HOME"])
    try:
        return Path.home()
    except RuntimeError:
        raise ConfigError("this user has no home folder: set HOME, or SPARK_CONF_DIR and STOKER_STATE_DIR") from None


def read_properties(path: Path) -> dict[str, str]:
    """``spark-defaults.conf``: name, white space or = or :, value. Raises ConfigError."""
    try:
        loaded = parse_properties(read_text(path))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    return {name: value.strip() for name, value in loaded.items()}


def apply_options(settings: Settings, source: str, text: str) -> None:
    """The JVM options of a ``*_OPTS`` variable: properties, the heap's size, and what only a JVM understands."""
    if not text:
        return
    import shlex  # noqa: PLC0415 - commands have no such variable

    try:
        words = iter(shlex.split(text.replace("\\\n", " ")))
    except ValueError as error:
        raise ConfigError(f"{source}: {error}: {text!r}") from None
    for word in words:
        if word.startswith("-D"):
            name, _, value = word[2:].partition("=")
            settings.properties[name] = Setting(value, source)
        elif word.startswith("-Xmx"):
            try:
                settings.heap_mib = max(1, types.parse_bytes(word[4:]) // 2**20)
            except UsageError as error:
                raise ConfigError(f"{source}: {word}: {error}") from None
        elif word.startswith("-"):
            argument = [next(words, "")] if word in _JVM_FLAGS_WITH_ARGUMENT else []
            settings.ignored.append(f"{' '.join([word, *argument])} in {source}")
        else:
            raise ConfigError(f"{source}: {word!r} is not an option: write properties as -Dname=value")


def unknown_properties(names: Mapping[str, Setting]) -> list[str]:
    """A line for each name that is unknown in Stoker's namespaces, or that is nearly one that Stoker obeys."""
    lines = []
    for name, setting in names.items():
        if _is_known(name):
            continue
        hint = did_you_mean(name, PROPERTIES, likeness=SLIP)
        if hint or name.startswith(OUR_NAMESPACES):
            lines.append(f"{setting.source} sets the unknown property {name}" + (f": {hint}" if hint else ""))
    return lines


def _is_known(name: str) -> bool:
    return name in PROPERTIES or name in INEFFECTIVE or is_of_family(name) or name in KEY_STORES
