"""``stoker status`` with filters: the output, and the filters that are rejected before a master is asked."""

from __future__ import annotations

import argparse
import json

import pytest

from stoker.client.commands import status
from stoker.client.show.as_json import as_json
from stoker.client.show.cluster import cluster as table
from stoker.core.model.filters import Filters
from stoker.errors import UsageError
from tests.support.web import cluster_view, driver_view, mixed_jobs, worker_view


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    status.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--state", "RUNING"], "did you mean RUNNING?"),
        (["--state", "x"], "use one of SUBMITTED"),
        (["--user", ""], "--user must not be empty"),
        (["--user", "ada", "driver-20140513164640-0001"], "leave out driver-20140513164640-0001"),
    ],
)
def test_a_filter_that_would_find_everything_is_rejected(words: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("?", r"\?")):
        status.run(parsed(*words), {})


def test_tables_and_json_are_narrowed_and_the_numbers_are_the_clusters() -> None:
    view = cluster_view(workers=(worker_view(1), worker_view(2, draining=True)))
    shown = table(view, filters=Filters(state="FAILED"))
    assert driver_view(3).id in shown and driver_view(1).id not in shown
    assert "1 running, 1 waiting, 1 completed" in shown and "1 running, 0 waiting, 1 completed" in shown
    assert "1 alive, 1 draining" in shown
    assert "No driver or application matches" in table(view, filters=Filters(user="nobody"))
    found = json.loads(as_json(Filters(worker="host1").cluster(view)))
    assert ([one["id"] for one in found["workers"]], found["live_workers"]) == ([worker_view(1).id], 1)


def test_what_waits_does_not_count_as_running() -> None:
    """Of an array the tasks count. Pages and metrics show the same numbers (tests/unit/web/test_master.py)."""
    shown = table(mixed_jobs())
    assert "1 running, 9 waiting, 1 to be restarted, 2 completed" in shown
    assert "0 running, 1 waiting, 1 completed" in shown
