"""The file with a secret for each name of Spark clients."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.errors import ConfigError
from stoker.security import spark_secrets
from stoker.security.spark_secrets import MOST_NAMES, SparkSecret, SparkSecrets, parse_secrets

ADA, BOB = "a" * 32, "b" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "gateway", f"# who may connect\nada etl {ADA}\n\nbob {BOB}\n")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_secrets, "LOOK_INTERVAL", -1.0)


def test_a_line_is_a_name_perhaps_a_pool_and_a_secret(path: Path) -> None:
    assert SparkSecrets(path).by_name == {"ada": SparkSecret("ada", "etl", ADA), "bob": SparkSecret("bob", "", BOB)}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("ada", "1 words: write 'NAME SECRET' or 'NAME POOL SECRET'"),
        (f"ada etl {ADA} more", "4 words: write 'NAME SECRET' or 'NAME POOL SECRET'"),
        (f"a/b {ADA}", "the first word is not a name: use 1 to 64 letters, digits and _ . @ -"),
        (f"gateway {ADA}", "gateway is the name of those who know spark.authenticate.secret: use another one"),
        (f"bob {ADA}", "bob has a line already: a name has one secret"),
        (f"ada e/t {ADA}", "the second word of ada is not the name of a pool: use letters, digits, '.', '-' and '_'"),
        ("ada etl short", "the secret of ada has under 16 characters: 'openssl rand -hex 16' makes one"),
        (f"ada {BOB}", "the secret of ada is that of bob, too: each name needs its own"),
        (f"ada {'c' * 16}", "the secret of ada is that of spark.authenticate.secret, too: each name needs its own"),
    ],
)
def test_each_fault_is_a_line_that_names_the_fix_and_no_secret(line: str, fault: str) -> None:
    _, faults = parse_secrets(f"bob {BOB}\n{line}\n", "FILE", common="c" * 16)
    assert faults == [f"FILE:2: {fault}"]
    assert not any(secret in faults[0] for secret in (ADA, BOB, "short", "c" * 16))


def test_there_may_be_many_names_but_not_any_number() -> None:
    text = "".join(f"n{number} {number:032}\n" for number in range(MOST_NAMES + 1))
    assert parse_secrets(text, "FILE")[1] == [f"FILE: {MOST_NAMES + 1} names: {MOST_NAMES} are the most"]
    assert not parse_secrets(text.rpartition("n")[0], "FILE")[1]


def test_others_may_not_read_the_file(path: Path) -> None:
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=rf"secretsFile: {path} is open to other users: `chmod 600 {path}`"):
        SparkSecrets(path)
    with pytest.raises(ConfigError, match=r"cannot read .*: No such file"):
        SparkSecrets(path.with_name("missing"))


def test_a_change_counts_and_a_wrong_file_changes_nothing(path: Path) -> None:
    secrets = SparkSecrets(path)
    known = dict(secrets.by_name)
    for wrong in ("ada\n", None):
        write(path, wrong) if wrong is not None else path.unlink()
        secrets.look_if_due()
        assert secrets.by_name == known and secrets.fault.endswith("the names of Spark clients stay as they were")
    write(path, f"bob night {BOB}\n")
    secrets.look_if_due()
    assert (secrets.by_name, secrets.fault) == ({"bob": SparkSecret("bob", "night", BOB)}, "")
    assert secrets.has(known["bob"]) and not secrets.has(known["ada"])
    write(path, "# nobody\n")
    secrets.look_if_due()
    assert not secrets.by_name and not secrets.fault
