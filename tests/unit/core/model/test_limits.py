"""Time limits in words."""

from __future__ import annotations

import pytest

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


def test_expired_process_has_failed_whatever_its_code() -> None:
    assert Exit(code=0, expired=True).status == 124
    assert not Exit(code=0, expired=True).is_success


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan"), 3e9])
def test_illegal_limit_is_rejected(seconds: float) -> None:
    with pytest.raises(ValueError, match="a time limit must be from 0"):
        driver(time_limit=seconds)
