"""``--env NAME=VALUE``, ``--env NAME`` and ``--env-file``."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from stoker.client.submit.environment import add_environment_arguments, environment
from stoker.errors import UsageError

HERE = {"DB_PASSWORD": "s3cret", "EMPTY": ""}


def variables(*words: str) -> dict[str, str]:
    parser = argparse.ArgumentParser()
    add_environment_arguments(parser, "the program")
    return environment(parser.parse_args(words), HERE)


def test_a_value_may_contain_anything() -> None:
    assert variables("--env", "A=b", "--env", "C=d=e", "--env", "E=") == {"A": "b", "C": "d=e", "E": ""}


def test_a_name_alone_takes_the_value_from_here() -> None:
    assert variables("--env", "DB_PASSWORD", "--env", "EMPTY") == {"DB_PASSWORD": "s3cret", "EMPTY": ""}
    with pytest.raises(UsageError, match="'MISSING' is not set here: `export MISSING"):
        variables("--env", "MISSING")
    for wrong in ("=b", ""):
        with pytest.raises(UsageError, match="is not NAME=VALUE or NAME"):
            variables("--env", wrong)


def test_a_file_has_one_variable_a_line_and_options_win(tmp_path: Path) -> None:
    file = tmp_path / "job.env"
    file.write_bytes(b'# of the nightly job\r\n\r\nMODE=slow\nQUOTED="a b" # c\n  DB_PASSWORD\n')
    expected = {"MODE": "fast", "QUOTED": '"a b" # c', "DB_PASSWORD": "s3cret"}
    assert variables("--env", "MODE=fast", "--env-file", str(file)) == expected


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"A=1\nexport B=hush\n", "line 2 of .* is not NAME=VALUE or NAME"),
        (b"=hush\n", "line 1 of .* is not NAME=VALUE or NAME"),
        (b"NOWHERE\n", "line 1 of .*: 'NOWHERE' is not set here"),
        (b"A=\xff\n", "is not UTF-8 text"),
        (b"A=" + b"x" * 2**20, "more than 1 MiB"),
    ],
)
def test_a_malformed_file_is_named_without_its_values(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "job.env").write_bytes(content)
    with pytest.raises(UsageError, match=says) as raised:
        variables("--env-file", str(tmp_path / "job.env"))
    assert "hush" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--env-file: cannot read .*: No such file"):
        variables("--env-file", str(tmp_path / "none"))
