"""Records of release 0.1.0 get the name of their key or token."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.core.model.records import AppRecord, Counters, DriverRecord, Record
from stoker.core.model.states import Role
from stoker.master.principals import name_principals
from stoker.security.authorizer import Authorizer
from stoker.security.keys import Keys
from stoker.security.roles import AccessRole
from stoker.security.tokens import TokenFile
from tests.support.core import application, driver


def record(owner: str, principal: str | None = None) -> DriverRecord:
    return DriverRecord(id="driver-1", description=driver(), submitted=1.0, owner=owner, principal=principal)


def test_an_old_record_counts_as_its_keys_name(tmp_path: Path) -> None:
    keys = Keys.open(tmp_path / "keys", create=tuple(Role))
    public = keys.pair(Role.CLIENT)[0]
    keys.authorized.write_text(f"client {public} ada\n")
    tokens = TokenFile(keys.folder)
    tokens.create("grace", AccessRole.SUBMITTER)
    [token] = tokens.read()
    app = AppRecord(id="app-1", description=application(), submitted=1.0, owner=public)
    records: list[Record] = [
        record(public),
        record(f"token:{token.id}"),
        record(""),
        record("x" * 40),
        record("token:00000000"),
        record(public, "bob"),
        app,
        Counters(),
    ]
    name_principals(records, Authorizer(keys.folder), tokens)
    named = [one.principal for one in records if isinstance(one, (DriverRecord, AppRecord))]
    assert named == ["ada", "grace", "", "", "", "bob", "ada"]


@pytest.mark.parametrize("owner", ["", "token:00000000", "key"])
def test_without_authentication_nothing_is_proved(tmp_path: Path, owner: str) -> None:
    one = record(owner)
    name_principals([one], None, TokenFile(tmp_path))
    assert one.principal == ""
