"""A daemon's settings as its page ``/environment/`` shows them (spec 15.3): those that were set, and where; no secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stoker.config.registry import PROPERTIES, is_of_family
from stoker.config.sources import Settings
from stoker.config.variables import VARIABLES
from stoker.core.model.redaction import HIDDEN, is_secret

_CREDENTIALS = re.compile(r"://[^/\s]*@")  # in a URL


@dataclass(frozen=True, slots=True)
class ShownSetting:
    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class ShownSettings:
    properties: tuple[ShownSetting, ...] = ()
    variables: tuple[ShownSetting, ...] = ()


NOTHING_SET = ShownSettings()


def shown_settings(settings: Settings) -> ShownSettings:
    """Return what is set, by name: properties, and the variables that Stoker knows. The value of a property is shown only if
    the daemons know it: others, which are for jobs, may hold anything."""
    properties = (
        ShownSetting(
            name, shown(name, setting.value) if name in PROPERTIES or is_of_family(name) else HIDDEN, setting.source
        )
        for name, setting in sorted(settings.properties.items())
    )
    variables = (
        ShownSetting(name, shown(name, settings.environ[name]), settings.origins.get(name, "environment"))
        for name in sorted(VARIABLES)
        if settings.environ.get(name)
    )
    return ShownSettings(tuple(properties), tuple(variables))


def shown(name: str, value: str) -> str:
    """Return the value, or ``HIDDEN`` where the name or the value looks like a secret."""
    return HIDDEN if is_secret(name) or is_secret(value) or _CREDENTIALS.search(value) else value
