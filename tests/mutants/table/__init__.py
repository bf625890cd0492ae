"""The bugs, by area. Each is one a person could write; its tests are the quickest that must notice."""

from __future__ import annotations

from tests.mutants.plant import Mutant
from tests.mutants.table import access, client, configuration, gateway, jobs, keeper, network, plugins, records

_AREAS = (records, access, jobs, keeper, client, network, gateway, configuration, plugins)
MUTANTS: tuple[Mutant, ...] = tuple(mutant for area in _AREAS for mutant in area.MUTANTS)
