"""The bugs, by area. Each is one a person could write; its tests are the quickest that must notice."""

from __future__ import annotations

from tests.mutants.plant import Mutant
from tests.mutants.table import (
    access,
    client,
    configuration,
    gateway,
    install,
    jobs,
    keeper,
    network,
    plugins,
    records,
    resources,
    sharing,
    web,
)

_AREAS = (
    records,
    resources,
    sharing,
    access,
    jobs,
    keeper,
    client,
    network,
    web,
    gateway,
    configuration,
    plugins,
    install,
)
MUTANTS: tuple[Mutant, ...] = tuple(mutant for area in _AREAS for mutant in area.MUTANTS)
