"""Which hosts are compared and which get the tasks, and texts that a run compiles once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ansible", reason="the collection is tested where Ansible is installed")

from jinja2 import Environment
from jinja2.nativetypes import NativeEnvironment

from plugins.lookup.stoker_hosts import ENOUGH, masters_to_ask, rest, workers_to_compare
from plugins.plugin_utils.templates import NAME, compiled_once

MANY = [f"w{number}" for number in range(ENOUGH)]
KEYS = {"unchanged": True, "public": {"master": "k"}}


def variables(answers: Mapping[str, Any], **inventory: Any) -> Callable[[str], dict[str, Any]]:
    return lambda name: {**inventory, **({"__stoker_common_host": answers[name]} if name in answers else {})}


def test_few_workers_are_not_compared_unless_the_inventory_says_so() -> None:
    assert masters_to_ask(["m"], MANY, variables({})) == ["m"]
    assert masters_to_ask(["m"], MANY[1:], variables({})) == []
    assert masters_to_ask(["m"], ["w0"], variables({}, stoker_compare_from=1)) == ["m"]
    assert masters_to_ask([], MANY, variables({})) == []


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"m0": {"failed": True}},
        {"m0": {"unchanged": False, "differences": ["release"]}},
        {"m0": KEYS, "m1": {"unchanged": False, "differences": ["keys for master"]}},
        {"m0": {"unchanged": True, "public": {"worker": "k"}}},
    ],
)
def test_without_the_masters_keys_nobody_is_compared(answers: dict[str, Any]) -> None:
    assert workers_to_compare(["m0", "m1"], MANY, variables(answers)) == []


def test_a_master_that_is_unreachable_does_not_hinder_and_no_master_is_compared() -> None:
    answers = {"m0": KEYS, "m1": {"unreachable": True}}
    assert workers_to_compare(["m0", "m1"], ["m0", "w0"], variables(answers)) == ["w0"]


def test_only_workers_that_are_surely_unchanged_are_left_out() -> None:
    answers: dict[str, Any] = {name: {"unchanged": True} for name in ("m0", "w0")}
    answers |= {
        "w1": {"unchanged": False},
        "w2": {"failed": True},
        "w3": {"unreachable": True},
        "w4": {"unchanged": "yes"},
    }
    workers = ["m0", "w0", "w1", "w2", "w3", "w4", "w5"]
    assert rest(["m0"], workers, variables(answers)) == ["m0", "w1", "w2", "w3", "w4", "w5"]


def test_a_text_is_compiled_once_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    before = Environment._generate

    def generate(self: Environment, source: Any, *args: Any, **options: Any) -> Any:
        seen.append("")
        return before(self, source, *args, **options)

    monkeypatch.setattr(Environment, "_generate", generate)
    original = Environment.compile
    for _ in range(3):  # as three processes would
        with compiled_once(tmp_path):
            assert Environment().from_string("{{ a + 1 }}").render(a=1) == "2"
            assert NativeEnvironment().from_string("{{ a + 1 }}").render(a=1) == 2
            assert Environment().overlay(variable_start_string="<").from_string("{{ a + 1 }}").render(a=1)
    assert len(seen) == 2 + 3, "a text with other options is compiled as ever"
    assert Environment.compile is original
    (tmp_path / NAME).write_bytes(b"")
    with compiled_once(tmp_path):
        assert Environment().from_string("{{ a + 2 }}").render(a=1) == "3"
