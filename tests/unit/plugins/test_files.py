"""Configuration files on a host: all are written or none, each with its permissions, and nothing else is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ansible", reason="the collection is tested where Ansible is installed")

from plugins.module_utils.files import write_files


class Failed(Exception):
    """The module ended with a message."""


def fail(*, msg: str) -> None:
    raise Failed(msg)


def spec(
    path: Path, content: str, mode: str = "0644", validate: tuple[str, ...] = (), state: str = "present"
) -> dict[str, Any]:
    words = list(validate)
    return {"path": str(path), "content": content, "mode": mode, "owner": "", "validate": words, "state": state}


def write(*specs: dict[str, Any], check_mode: bool = False) -> dict[str, Any]:
    module: Any = SimpleNamespace(params={"files": list(specs)}, check_mode=check_mode, fail_json=fail)
    return write_files(module)


@pytest.fixture(params=[0o000, 0o077], ids=["open", "closed"], autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600])
def test_a_file_has_its_content_and_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "conf" / "spark-env"
    result = write(spec(path, "A=1\n", f"{mode:04o}"))
    assert (result["changed"], result["changed_files"]) == (True, [str(path)])
    assert path.read_text() == "A=1\n"
    assert path.stat().st_mode & 0o777 == mode
    assert not write(spec(path, "A=1\n", f"{mode:04o}"))["changed"]


def test_a_wrong_mode_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("secret")
    path.chmod(0o644)
    assert write(spec(path, "secret", "0600"))["changed"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_if_one_is_rejected_none_is_replaced(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("old")
    with pytest.raises(Failed, match=f"{bad} is wrong"):
        write(spec(good, "new"), spec(bad, "x", validate=("/bin/sh", "-c", "echo $0 is wrong; exit 1", "%s")))
    assert [path.name for path in tmp_path.iterdir()] == ["good"]
    assert good.read_text() == "old"


def test_check_mode_tries_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    assert write(spec(path, "new", validate=("/bin/true",)), check_mode=True)["changed"]
    assert [found.read_text() for found in tmp_path.iterdir()] == ["old"]
    with pytest.raises(Failed):
        write(spec(path, "new", validate=("/bin/false",)), check_mode=True)
    assert [found.read_text() for found in tmp_path.iterdir()] == ["old"]


def test_an_absent_file_is_removed_unless_it_begins_otherwise(tmp_path: Path) -> None:
    path, new = tmp_path / "file", tmp_path / "new"
    absent = spec(path, "# ours\n", validate=("/bin/false",), state="absent")
    assert not write(absent)["changed"]
    path.write_text("# ours\nA=1\n")
    result = write(absent, check_mode=True)
    assert result["changed"] and path.exists()
    assert (result["diff"][0]["before"], result["diff"][0]["after"]) == ("# ours\nA=1\n", "")
    with pytest.raises(Failed):
        write(absent, spec(new, "x", validate=("/bin/false",)))
    assert path.exists(), "if one is rejected none is removed"
    assert write(absent)["changed"] and not list(tmp_path.iterdir())
    path.write_text("A=1\n# ours\n")
    assert not write(absent)["changed"] and path.exists()


@pytest.mark.parametrize("content", ["A='one\rtwo\r\nthree'\n", "A='ü'\n"])
def test_a_file_that_holds_its_content_already_is_not_written_again(tmp_path: Path, content: str) -> None:
    path = tmp_path / "spark-env"
    assert write(spec(path, content))["changed"]
    assert path.read_bytes() == content.encode()
    assert not write(spec(path, content))["changed"]


def test_a_file_that_is_not_text_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "spark-env"
    path.write_bytes(b"\xff\xfe")
    assert write(spec(path, "A=1\n"))["changed"]
    assert path.read_text() == "A=1\n"
