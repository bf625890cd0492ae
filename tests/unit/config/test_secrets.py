"""Secrets that settings name by file."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.config.secrets import read_secret, spark_secret, zookeeper_auth
from stoker.config.sources import load_settings
from stoker.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.touch(0o600)
    return path


def test_one_line_that_only_the_owner_can_read(file: Path) -> None:
    file.write_text("abc\n")
    assert read_secret(file, "x.y") == "abc"
    file.chmod(0o640)
    with pytest.raises(ConfigError, match=rf"x\.y: .* is open to other users: `chmod 600 {file}`"):
        read_secret(file, "x.y")


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb", b"\xff"])
def test_anything_else_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^x\.y: "):
        read_secret(file, "x.y")
    with pytest.raises(ConfigError, match=r"cannot read .*No such file"):
        read_secret(file.with_name("other"), "x.y")


def test_sparks_secret_is_in_a_setting_or_in_a_file(file: Path, tmp_path: Path) -> None:
    file.write_text("from-file")
    defaults = tmp_path / "defaults.conf"
    defaults.write_text(f"spark.authenticate.secret.file {file}")
    assert spark_secret(load_settings({}, properties_file=str(defaults))) == "from-file"
    defaults.write_text(f"spark.authenticate.secret given\nspark.authenticate.secret.file {file}")
    assert spark_secret(load_settings({}, properties_file=str(defaults))) == "given"
    defaults.write_text("")
    assert spark_secret(load_settings({}, properties_file=str(defaults))) == ""


def test_zookeepers_identity_has_a_user_and_a_password(file: Path) -> None:
    file.write_text("me:secret")
    assert zookeeper_auth(file) == "me:secret"
    file.write_text("me")
    with pytest.raises(ConfigError, match="USER:PASSWORD"):
        zookeeper_auth(file)
