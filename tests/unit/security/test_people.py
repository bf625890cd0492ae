"""Keys of people: invited, admitted, expired and revoked, with a master's authorizer that follows."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stoker.core.model.states import Role
from stoker.errors import ConfigError, NotFound, UsageError
from stoker.security import people
from stoker.security.authorizer import Authorizer
from stoker.security.keys import Keys
from stoker.security.times import iso

MASTERS = ("m1:7077", "m2:7077")
DAY = 86400.0


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.open(tmp_path / "master", create=(Role.MASTER,))


def test_an_invitation_brings_a_person_in_until_it_is_revoked(keys: Keys, tmp_path: Path) -> None:
    authorizer = Authorizer(keys.folder)
    _, invitation = people.invite(keys, "ada", Role.CLIENT, 90 * DAY, MASTERS)
    assert people.accept(tmp_path / "ada", f"{invitation}\n") == ("ada", "spark://m1:7077,m2:7077")
    theirs = Keys.open(tmp_path / "ada", create=None)
    public, _ = theirs.pair(Role.CLIENT)
    assert theirs.master_key("m2:7077") == keys.pair(Role.MASTER)[0]
    authorizer.reload()
    assert authorizer.lookup(public) == (Role.CLIENT, "ada")
    people.accept(tmp_path / "ada", invitation)  # a second time changes nothing

    people.revoke(keys, "ada")
    authorizer.reload()
    assert authorizer.lookup(public) is None
    assert authorizer.lookup(keys.pair(Role.MASTER)[0]) is not None


def test_a_key_expires_on_open_connections_too(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    public, _ = people.invite(keys, "ada", Role.CLIENT, DAY, MASTERS)
    authorizer = Authorizer(keys.folder)
    version = authorizer.version
    assert authorizer.lookup(public) is not None
    later = time.time() + 2 * DAY
    monkeypatch.setattr(time, "time", lambda: later)
    authorizer.look_by = 0
    assert authorizer.lookup(public) is None
    assert authorizer.version > version
    assert Authorizer(keys.folder).lookup(public) is None


def test_a_person_may_keep_the_private_key(keys: Keys, tmp_path: Path) -> None:
    Keys.make(tmp_path / "bob", [Role.CLIENT])
    public, _ = Keys.open(tmp_path / "bob", create=None).pair(Role.CLIENT)
    people.admit(keys, "bob", Role.CLIENT, public, None)
    assert keys.authorized.read_text().splitlines()[-1] == f"client {public} bob -"
    with pytest.raises(UsageError, match="admitted already, as bob"):
        people.admit(keys, "robert", Role.CLIENT, public, None)
    with pytest.raises(UsageError, match="stoker keys revoke bob"):
        people.invite(keys, "bob", Role.CLIENT, None, MASTERS)


def test_only_people_are_revoked(keys: Keys) -> None:
    before = keys.authorized.read_text()
    name = before.splitlines()[-1].split()[2]
    with pytest.raises(NotFound, match="there is nobody"):
        people.revoke(keys, name)
    assert keys.authorized.read_text() == before


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "ada\n", "-\u00e4"])
def test_a_name_is_one_word(keys: Keys, name: str) -> None:
    with pytest.raises(UsageError, match="is not a name"):
        people.invite(keys, name, Role.CLIENT, None, MASTERS)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '"x"', '{"kind":"stoker-invitation-1"}', "x" * 10000])
def test_garbage_is_no_invitation(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="not an invitation"):
        people.accept(tmp_path / "keys", text)
    assert not (tmp_path / "keys").exists()


def test_a_key_in_use_is_not_replaced(keys: Keys, tmp_path: Path) -> None:
    Keys.make(tmp_path / "mine", [Role.CLIENT])
    before = Keys.open(tmp_path / "mine", create=None).pair(Role.CLIENT)
    with pytest.raises(UsageError, match="move it away"):
        people.accept(tmp_path / "mine", people.invite(keys, "ada", Role.CLIENT, None, MASTERS)[1])
    assert Keys.open(tmp_path / "mine", create=None).pair(Role.CLIENT) == before


@pytest.mark.parametrize("expires", ["soon", "2030-01-01", "1"])
def test_a_wrong_expiry_is_named_with_its_line(keys: Keys, expires: str) -> None:
    with keys.authorized.open("a") as file:
        file.write(f"client {'x' * 40} ada {expires}\n")
    with pytest.raises(ConfigError, match=r"authorized:\d+: '.*' is no time"):
        Authorizer(keys.folder)


def test_times_are_read_back() -> None:
    assert iso(0) == "1970-01-01T00:00:00Z"
