"""A worker's settings of named resources, such as GPUs (spec 15.8)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from stoker.config.sources import Settings
from stoker.core.model.resources import check_name, parse_amount
from stoker.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ResourceSetting:
    """``spark.worker.resource.NAME.amount`` (at least 1) and ``.discoveryScript`` ("": none)."""

    name: str
    amount: int
    script: str = ""


@dataclass(frozen=True, kw_only=True)
class ResourceSettings:
    """``timeout``: seconds that a script may take."""

    wanted: tuple[ResourceSetting, ...] = ()
    file: Path | None = None  # spark.worker.resourcesFile
    looks_for_gpus: bool = False  # spark.stoker.worker.gpu auto
    timeout: float = 30.0


_SETTING = re.compile(r"spark\.worker\.resource\.([^.]+)\.(amount|discoveryScript|vendor)")


def resource_settings(settings: Settings) -> ResourceSettings:
    """Raises ConfigError with the one line to show."""
    found: dict[str, dict[str, str]] = {}
    for key, setting in settings.properties.items():
        match = _SETTING.fullmatch(key)
        if match is not None:
            found.setdefault(match[1], {})[match[2]] = setting.value
    file = settings.get("spark.worker.resourcesFile")
    wanted = (_wanted(name, values) for name, values in sorted(found.items()))
    return ResourceSettings(
        wanted=tuple(one for one in wanted if one.amount),
        file=Path(file).absolute() if file else None,
        looks_for_gpus=settings.get("spark.stoker.worker.gpu") == "auto",
        timeout=settings.get("spark.stoker.worker.discoveryTimeout"),
    )


def _wanted(name: str, values: dict[str, str]) -> ResourceSetting:
    key = f"spark.worker.resource.{name}.amount"
    if "amount" not in values:
        raise ConfigError(f"{key} is missing: set it to the number of addresses that the worker offers")
    try:
        amount = parse_amount(key, values["amount"], least=0)
        return ResourceSetting(name=check_name(name), amount=amount, script=values.get("discoveryScript", "").strip())
    except ValueError as error:
        raise ConfigError(str(error)) from None
