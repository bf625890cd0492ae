"""``stoker config show``: every setting that counts on this machine, its value and where it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stoker.config import common, types
from stoker.config.effective import shown
from stoker.config.ineffective import INEFFECTIVE
from stoker.config.machine import total_memory_mib, usable_cores
from stoker.config.readers import SUBMISSIONS, covers, is_read_by
from stoker.config.registry import PROPERTIES, Known
from stoker.config.sources import Daemon, Setting, Settings, load_settings, unknown_properties
from stoker.config.variables import VARIABLES, WITHOUT_EFFECT
from stoker.core.model.values import UNLIMITED
from stoker.errors import UsageError

DEFAULT = "default"
READERS: tuple[Daemon | None, ...] = ("master", "worker", None)  # None: commands of clients
_SAID_DEFAULT = re.compile(r"\(default(?:, and [^:]*)?: ([^)]*(?:\([^)]*\)[^)]*)?)\)")


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as one or more programs read it. ``readers`` are some of master, worker and client."""

    name: str
    value: str
    source: str  # "default", a file, "environment", a variable with -D options, or an option
    readers: tuple[str, ...]
    problem: str = ""  # why daemons or commands reject it, why it has no effect, or that its name is unknown
    is_rejected: bool = False


def show(environ: Mapping[str, str], *, properties_file: str | None, options: Sequence[str], as_json: bool) -> int:
    """Print all rows; ``options`` are NAME=VALUE, as ``--conf`` has them. 0, or 1 when a value is rejected. Raises
    UsageError or ConfigError when a source cannot be read."""
    rows = effective_rows(environ, properties_file=properties_file, options=options)
    if as_json:
        print(json.dumps({"settings": [asdict(row) for row in rows]}, indent=2))
    else:
        print(_table(rows))
    return 1 if any(row.is_rejected for row in rows) else 0


def effective_rows(
    environ: Mapping[str, str], *, properties_file: str | None = None, options: Sequence[str] = ()
) -> list[SettingRow]:
    """Return each setting, by name; more than once where two programs read different values of it. Raises ConfigError or
    UsageError."""
    read = {reader: load_settings(environ, properties_file=properties_file, daemon=reader) for reader in READERS}
    for text in options:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise UsageError(f"--conf {text!r} is not NAME=VALUE")
        read[None].properties[name.strip()] = Setting(value, "--conf")
    rows = []
    for name in sorted({*PROPERTIES, *(name for settings in read.values() for name in settings.properties)}):
        rows += _merged(
            (reader, _property(name, settings)) for reader, settings in read.items() if _reads(reader, name)
        )
    for name in sorted(VARIABLES):
        rows += _merged(
            (reader, _variable(name, settings)) for reader, settings in read.items() if _reads(reader, name)
        )
    return rows


def _reads(reader: Daemon | None, name: str) -> bool:
    if reader is not None:
        return is_read_by(reader, name)
    if name not in PROPERTIES and name not in VARIABLES:
        return True
    daemons_only = not (is_read_by("master", name) and is_read_by("worker", name))
    return any(covers(entry, name) for entry in SUBMISSIONS) or not daemons_only


def _merged(found: Iterable[tuple[Daemon | None, SettingRow | None]]) -> list[SettingRow]:
    """Return one row for all programs that read the same value."""
    readers: dict[SettingRow, list[str]] = {}
    for reader, row in found:
        if row is not None:
            readers.setdefault(row, []).append(reader or "client")
    return [
        SettingRow(row.name, row.value, row.source, tuple(names), row.problem, row.is_rejected)
        for row, names in readers.items()
    ]


def _property(name: str, settings: Settings) -> SettingRow | None:
    known, setting = PROPERTIES.get(name), settings.properties.get(name)
    if setting is None:
        return SettingRow(name, _default(known), DEFAULT, ()) if known is not None else None
    problem, is_rejected = "", False
    if known is not None:
        try:
            known.parse(setting.value)
        except UsageError as error:
            problem, is_rejected = shown(name, str(error)), True
    elif name in INEFFECTIVE:
        hint = INEFFECTIVE.get(name, "")
        problem = WITHOUT_EFFECT + (f": {hint}" if hint else "")
    else:
        problem = "".join(line.replace(f"{setting.source} sets the ", "") for line in _doubts(name, setting))
    return SettingRow(name, shown(name, setting.value), setting.source, (), problem, is_rejected)


def _doubts(name: str, setting: Setting) -> list[str]:
    return unknown_properties({name: setting})


def _default(known: Known) -> str:
    said = _SAID_DEFAULT.search(known.meaning)
    if said is not None:
        return said[1]
    return f"{known.default}m" if known.parse is types.parse_memory and known.default else _plain(known.default)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}s"
    return "unlimited" if value == UNLIMITED else str(value)


def _variable(name: str, settings: Settings) -> SettingRow | None:
    value, meaning = settings.environ.get(name), VARIABLES[name]
    if not value:
        default = _default_of_variable(name, settings)
        return SettingRow(name, default, DEFAULT, ()) if default else None
    source = settings.origins.get(name, "environment").removeprefix(f"{name} in ")
    problem = meaning if meaning.startswith(WITHOUT_EFFECT) else ""
    return SettingRow(name, shown(name, value), source, (), problem)


def _default_of_variable(name: str, settings: Settings) -> str:
    """Return what counts where the variable is not set; "" where nothing does."""
    if name == "SPARK_WORKER_CORES":
        return str(usable_cores())
    if name == "SPARK_WORKER_MEMORY":
        return f"{max(total_memory_mib() - 1024, 1024)}m"
    if name == "SPARK_CONF_DIR":
        return str(settings.conf_dir)
    if name == "STOKER_KEYS_DIR":
        return str(common.keys_dir(settings))
    if name == "STOKER_STATE_DIR" and not settings.is_set("spark.stoker.state.dir"):
        return str(common.state_dir(settings))
    return {"SPARK_MASTER_PORT": "7077", "SPARK_WORKER_INSTANCES": "1"}.get(name, "")


def _table(rows: Sequence[SettingRow]) -> str:
    lines = [("Setting", "Value", "From", "Read by")]
    lines += [(row.name, _cell(row.value) or "-", _cell(row.source), _readers(row.readers)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + (f"  ! {_cell(row.problem)}" if row is not None and row.problem else "")
        for line, row in zip(lines, [None, *rows], strict=True)
    ]
    return "\n".join(text)


def _readers(readers: tuple[str, ...]) -> str:
    return "all" if len(readers) == len(READERS) else ", ".join(readers)


def _cell(text: str) -> str:
    """One line of printable characters."""
    return "".join(character if character.isprintable() else " " for character in text)
