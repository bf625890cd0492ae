"""The table of status.yml: what it shows of masters that do not lead."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.action.stoker_report import _rows as made

pytestmark = pytest.mark.ansible
CLUSTER = {"url": "spark://m1:7077", "state": "ALIVE", "version": "1", "workers": []}


def rows(service: str, status: str, cluster: dict[str, Any]) -> list[list[str]]:
    daemon = {"name": "master", "pid": 7, "service": service, "release": "r1", "status": status}
    found = {"release": "r1", "daemons": [daemon]}
    return made({"name": "m2", "address": "m2", "master_address": "m2", "wanted": ["master"], "found": found}, cluster)


@pytest.mark.parametrize(
    ("service", "status", "cluster", "state", "note"),
    [
        ("running", "standby: the leader is m1:7077", CLUSTER, "STANDBY", "the leader is m1:7077"),
        ("running", "standby: no leader yet: no election yet", {}, "STANDBY", "no leader yet: no election yet"),
        ("running", "", CLUSTER, "STANDBY", ""),
        ("running", "", {}, "", ""),
        ("failed", "", CLUSTER, "", ""),
    ],
)
def test_a_master_that_does_not_lead(service: str, status: str, cluster: dict[str, Any], state: str, note: str) -> None:
    ((_, _, _, shown, _, _, said),) = rows(service, status, cluster)
    assert (shown, said) == (state, note)
