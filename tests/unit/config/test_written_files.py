"""What the playbooks write is read back exactly: the filters of the collection beside the readers of their files."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import javaproperties
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.config.sources import read_properties
from stoker.config.spark_env import parse_spark_env

ROOT = Path(__file__).parents[3]


def _filters() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stoker_text", ROOT / "plugins" / "filter" / "stoker_text.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


text = _filters()
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x85\u2028\u2029"), max_size=30)


@settings(deadline=None)
@given(st.text("abc.=:#! \\\t", min_size=1, max_size=10), VALUES)
def test_any_property_is_read_back(name: str, value: str) -> None:
    assert javaproperties.loads(text.stoker_property(name, value) + "\nnext 1\n") == {name: value, "next": "1"}


@pytest.mark.parametrize("value", [r"job-\d+\.py", "ends\\", "=x", ":x", "#x", "two\nlines", "a  b = c", "ü", "", True])
def test_values_people_write_arrive_in_the_daemons(tmp_path: Path, value: object) -> None:
    path = tmp_path / "spark-defaults.conf"
    path.write_text(text.stoker_property("spark.a", value) + "\nspark.b 2\n")
    expected = "true" if value is True else str(value)
    assert read_properties(path) == {"spark.a": expected, "spark.b": "2"}


@settings(deadline=None)
@given(VALUES)
def test_any_variable_is_read_back(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = tmp_path_factory.getbasetemp() / "spark-env"
    path.write_text(text.stoker_shell("A", value) + "\nB=2\n", encoding="utf-8", newline="")
    assert parse_spark_env(path, {}).values == {"A": value, "B": "2"}


def test_bash_reads_the_same(tmp_path: Path) -> None:
    value = "it's `id` $HOME \\d\ntwo"
    path = tmp_path / "spark-env"
    path.write_text(text.stoker_shell("A", value) + "\n")
    done = subprocess.run(
        ["bash", "-c", '. "$1"; printf %s "$A"', "bash", path], capture_output=True, text=True, check=True
    )
    assert done.stdout == value


def test_a_file_has_a_line_for_each_setting_in_order(tmp_path: Path) -> None:
    settings = {"b": 2, "A": "it's", "c": True}
    assert text.stoker_spark_env(settings).splitlines()[1:] == ["A='it'\\''s'", "b='2'", "c='true'"]
    path = tmp_path / "spark-defaults.conf"
    path.write_text(text.stoker_spark_defaults(settings))
    assert read_properties(path) == {"A": "it's", "b": "2", "c": "true"}


def test_a_unit_s_environment_is_quoted() -> None:
    assert text.stoker_systemd("A", '/a b/100%"x\\') == 'Environment="A=/a b/100%%\\"x\\\\"'


@pytest.mark.parametrize(
    ("value", "word"),
    [("/etc/stoker/zoo.cfg", "/etc/stoker/zoo.cfg"), ("/my data/100%", '"/my data/100%%"'), ("a\nb", '"a\\x0ab"')],
)
def test_a_path_in_a_unit_is_one_word(value: str, word: str) -> None:
    assert text.stoker_systemd_word(value) == word


@pytest.mark.parametrize(
    ("value", "line"),
    [("100%", "100%%"), ("%h", "%%h"), ("a\\b", "a\\\\b"), ('say "x"', 'say \\"x\\"'), (True, "true"), ("a b", "a b"),
     ("a\nExecStart=x\t", "a\\x0aExecStart=x\\x09")],
)  # fmt: skip
def test_systemd_expands_nothing_in_a_value(value: object, line: str) -> None:
    assert text.stoker_systemd("A", value) == f'Environment="A={line}"'
