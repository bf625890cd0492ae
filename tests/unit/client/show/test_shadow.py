"""A shadow policy on the terminal."""

from __future__ import annotations

import msgspec

from stoker.client.show.shadow import shadow_tables
from stoker.core.model.pools import ShadowJob, ShadowPool, ShadowView

FOUND = ShadowView(
    "new.yml", since=1e9, at=1e9 + 60, comparisons=2, sooner=1, later=3,
    pools=(ShadowPool("etl", waiting=4, never=1, starts=2, seconds=240.0, shadow_seconds=60.0),),
    jobs=(ShadowJob("driver-20260101000000-0002", "job", "ada", "etl", None, 60.0),),
)  # fmt: skip


def test_it_says_what_would_change() -> None:
    shown = shadow_tables(FOUND)
    assert shown.startswith("Shadow new.yml: compared 2 times since ")
    assert "of what waits 1 would start sooner, 3 later" in shown
    assert "etl" in shown and "2 min 0 s" in shown and "30.0 s" in shown
    assert "never" in shown and "after 1 min 0 s" in shown


def test_it_says_why_nothing_is_compared() -> None:
    assert shadow_tables(ShadowView("new.yml")) == "Shadow new.yml: not compared yet"
    assert shadow_tables(ShadowView("new.yml", fault="x: no\x1b[m")) == "Shadow new.yml: x: no?[m"
    assert shadow_tables(ShadowView("new.yml", note="too many")) == "Shadow new.yml: too many"
    assert "too many" in shadow_tables(msgspec.structs.replace(FOUND, note="too many"))
