"""Lines of Stoker's own: times in them are the user's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from stoker.client.notices import local_times


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine is 9 hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_times_of_the_cluster_are_shown_as_they_are_here() -> None:
    assert local_times("since 2020-02-28 15:30 UTC, free by 2020-02-28 14:59 UTC") == (
        "since 2020-02-29 00:30, free by 2020-02-28 23:59"
    )
    now = datetime.now(timezone.utc)
    assert local_times(f"since {now:%Y-%m-%d %H:%M UTC}") == f"since {now.astimezone():%H:%M}"


@pytest.mark.parametrize("line", ["", "2020-02-28 15:30", "2020-13-45 99:99 UTC", "12020-02-28 15:30 UTC"])
def test_what_is_not_a_time_stays(line: str) -> None:
    assert local_times(line) == line
