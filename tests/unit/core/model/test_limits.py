"""Limits on time and disk, in words."""

from __future__ import annotations

import pytest

from stoker.core.model import limits
from stoker.core.model.limits import reason, span, with_rest
from stoker.core.model.values import Exit
from tests.support.core import driver


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(7200, "2 h"), (5400, "1 h 30 min"), (90, "1 min 30 s"), (0.5, "0.5 s"), (172800, "2 d"), (1, "1 s"), (0, "0 s")],
)
def test_span(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_reason_and_rest() -> None:
    assert reason(7200) == "time limit of 2 h"
    assert with_rest(0, 100, 200) == ""
    assert with_rest(7200, 0, 200) == "2 h"
    assert with_rest(7200, 1000, 4600) == "2 h, 1 h left"
    assert with_rest(7200, 1000, 9000) == "2 h, reached"


def test_disk_limit_is_a_size_of_at_least_a_mebibyte() -> None:
    assert [limits.disk_limit(text) for text in ("20g", "1T", " 512 m ", "1048576")] == [20480, 2**20, 512, 1]
    for wrong in ("", "0", "1k", "-1g", "20 apples", "9" * 20, "4096p"):
        with pytest.raises(ValueError, match="like"):
            limits.disk_limit(wrong)


@pytest.mark.parametrize(
    ("used", "limit", "words"),
    [
        (20.1 * 2**30, 20480, "used 20.1 of 20 GiB of disk"),
        (20 * 2**30 + 1, 20480, "used 20.0 of 20 GiB of disk"),
        (600 * 2**20, 512, "used 600.0 of 512 MiB of disk"),
        (3 * 2**30, 1536, "used 3.0 of 1.5 GiB of disk"),
    ],
)
def test_use_over_the_disk_limit_in_words(used: float, limit: int, words: str) -> None:
    assert limits.over_disk(int(used), limit) == words


def test_process_over_its_disk_limit_has_failed_whatever_its_code() -> None:
    assert Exit(code=0, over_disk=True).status == 153
    assert not Exit(code=0, over_disk=True).is_success


def test_expired_process_has_failed_whatever_its_code() -> None:
    assert Exit(code=0, expired=True).status == 124
    assert not Exit(code=0, expired=True).is_success


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan"), 3e9])
def test_illegal_limit_is_rejected(seconds: float) -> None:
    with pytest.raises(ValueError, match="a time limit must be from 0"):
        driver(time_limit=seconds)
