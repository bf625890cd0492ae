"""Tokens: made once, kept as hashes, revoked at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stoker.cli import main
from stoker.errors import ConfigError, NotFound, UsageError
from stoker.security import tokens as tokens_module
from stoker.security.roles import AccessRole
from stoker.security.tokens import TokenFile


@pytest.fixture(autouse=True)
def look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "_LOOK_EVERY", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_a_token_is_known_until_it_is_revoked(folder: Path) -> None:
    daemon, operator = TokenFile(folder), TokenFile(folder)
    assert daemon.is_empty
    secret = operator.create("ada", AccessRole.OPERATOR)
    token = daemon.identify(secret)
    assert token is not None
    assert (token.identity.name, token.identity.role) == ("ada", AccessRole.OPERATOR)
    assert daemon.is_known(token)
    operator.revoke("ada")
    assert daemon.identify(secret) is None
    assert not daemon.is_known(token)


def test_only_a_hash_is_kept_and_only_for_us(folder: Path) -> None:
    secret = TokenFile(folder).create("ada", AccessRole.ADMIN)
    path = folder / "tokens"
    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("wrong", ["", "stoker_", "x" * 100_000, "\udcff", "ada"])
def test_what_is_no_token_is_nobody(folder: Path, wrong: str) -> None:
    file = TokenFile(folder)
    file.create("ada", AccessRole.ADMIN)
    assert file.identify(wrong) is None


def test_a_token_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = TokenFile(folder)
    secret = file.create("ci", AccessRole.SUBMITTER, 60.0)
    token = file.identify(secret)
    assert token is not None
    monkeypatch.setattr(time, "time", lambda: token.expires + 1)
    assert file.identify(secret) is None
    assert not file.is_known(token)


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "x" * 65, "é", "../x"])
def test_bad_names(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not a name"):
        TokenFile(folder).create(name, AccessRole.VIEWER)


def test_names_are_unique_and_revoking_takes_ids_too(folder: Path) -> None:
    file = TokenFile(folder)
    file.create("ada", AccessRole.VIEWER)
    with pytest.raises(UsageError, match="token of that name"):
        file.create("ada", AccessRole.ADMIN)
    identifier = file.read()[0].id
    assert file.revoke(identifier).name == "ada"
    with pytest.raises(NotFound, match="no token 'ada'"):
        file.revoke("ada")


def test_revoking_a_token_leaves_the_others(folder: Path) -> None:
    file = TokenFile(folder)
    secrets = {name: file.create(name, AccessRole.VIEWER) for name in ("ada", "grace", "mary")}
    file.revoke("grace")
    assert [token.name for token in file.read()] == ["ada", "mary"]
    assert [name for name, secret in secrets.items() if TokenFile(folder).identify(secret)] == ["ada", "mary"]


def test_a_file_others_can_read_or_that_is_damaged_lets_nobody_in(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = TokenFile(folder)
    secret = file.create("ada", AccessRole.ADMIN)
    path = folder / "tokens"
    assert file.identify(secret)
    path.chmod(0o644)
    path.write_text(path.read_text() + "# open\n")
    assert file.identify(secret) is None
    assert "open to other users" in caplog.text
    path.chmod(0o600)
    path.write_text(path.read_text() + "garbage\n")
    assert file.identify(secret) is None
    assert "tokens:4: not `ID" in caplog.text
    with pytest.raises(ConfigError, match="tokens:4"):
        file.read()
    assert "garbage" in path.read_text(), "nothing is lost"


def test_on_the_command_line(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("STOKER_KEYS_DIR", str(folder))
    monkeypatch.setenv("SPARK_CONF_DIR", os.fspath(folder.parent))
    assert main(["token", "create", "--name", "ada", "--role", "operator", "--expires", "30d"]) == 0
    secret = capsys.readouterr().out.strip()
    found = TokenFile(folder).identify(secret)
    assert found is not None and found.role is AccessRole.OPERATOR
    assert main(["token", "list"]) == 0
    shown = capsys.readouterr().out
    assert "ada" in shown and "operator" in shown and secret not in shown
    assert main(["token", "revoke", "ada"]) == 0
    assert main(["token", "revoke", "ada"]) == 1
    assert capsys.readouterr().err.strip() == "stoker: there is no token 'ada': stoker token list shows them"


@pytest.mark.parametrize(
    "words",
    [[], ["create"], ["create", "--name", "x", "--role", "king"], ["revoke"], ["mint"], ["create", "--name", "x",
     "--expires", "soon"], ["create", "--name", "x", "--expires", "0"]],
)  # fmt: skip
def test_wrong_usage_is_one_line(
    folder: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STOKER_KEYS_DIR", str(folder))
    assert main(["token", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("stoker: ") and len(error.splitlines()) == 1
    assert not folder.exists()
