"""The keys a host trusts after a playbook: the present keys of the inventory's hosts, and no others."""

from __future__ import annotations

import pytest

pytest.importorskip("ansible", reason="the collection is tested where Ansible is installed")

from plugins.lookup.stoker_trust import HEADER, authorized, known_masters

OLD = f"{HEADER}worker oldkey w1\nworker w2key w2\nclient laptopkey controller:laptop\nworker gonekey gone\n"


def lines(text: str) -> set[str]:
    assert text.startswith(HEADER)
    return set(text.removeprefix(HEADER).splitlines())


def test_a_host_has_its_new_key_only_and_a_removed_one_has_none() -> None:
    found = lines(authorized(OLD, {"w1": {"worker": "newkey"}}, ["w1", "w2"]))
    assert found == {"worker newkey w1", "worker w2key w2", "client laptopkey controller:laptop"}


def test_a_staged_key_is_trusted_beside_the_one_in_use() -> None:
    found = lines(authorized("", {"w1": {"worker": "key"}}, ["w1"], staged={"w1": {"worker": "next"}}))
    assert found == {"worker key w1", "worker next w1"}


def test_lines_of_the_operators_own_are_added() -> None:
    assert lines(authorized("", {}, [], extra=["admin akey ci"])) == {"admin akey ci"}


def test_masters_have_their_new_keys_and_removed_ones_have_none() -> None:
    old = f"{HEADER}m1:7077 old\nm2:7077 m2key\ngone:7077 gonekey\n"
    found = lines(known_masters(old, {"m1:7077": ["new", "staged"]}, ["m1:7077", "m2:7077"]))
    assert found == {"m1:7077 new", "m1:7077 staged", "m2:7077 m2key"}
