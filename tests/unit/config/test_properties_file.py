"""``spark-defaults.conf`` is read as Java reads it: compared with an independent reader."""

from __future__ import annotations

import javaproperties
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stoker.config.properties_file import parse_properties


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("spark.cores.max 8", {"spark.cores.max": "8"}),
        ("a=1\nb:2\rc 3\r\nd\t=\t4\n", {"a": "1", "b": "2", "c": "3", "d": "4"}),
        ("# no\n  ! no\n\na # yes", {"a": "# yes"}),
        ("a one \\\n   two\\\n# three\nb 4", {"a": "one two# three", "b": "4"}),
        (r"a job-\\d+\\.py", {"a": r"job-\d+\.py"}),
        (r"a job-\d+\.py", {"a": "job-d+.py"}),
        ("a x\\\\\nb y", {"a": "x\\", "b": "y"}),
        (r"a\ b\=c\:d = e\tf", {"a b=c:d": "e\tf"}),
        (r"a \u00e9\ud83d\ude00", {"a": "é😀"}),
        ("a==b", {"a": "=b"}),
        ("a", {"a": ""}),
        (":x", {"": "x"}),
        ("a 1\na 2", {"a": "2"}),
        ("a x\\", {"a": "x"}),
        ("", {}),
    ],
)
def test_examples(text: str, found: dict[str, str]) -> None:
    assert parse_properties(text) == found == dict(javaproperties.loads(text))


@pytest.mark.parametrize("text", [r"a \u12", r"a \uXYZ1", r"\u = 1"])
def test_malformed(text: str) -> None:
    with pytest.raises(ValueError, match="four hexadecimal digits"):
        parse_properties(text)


@given(st.text(alphabet="ab \t\f\n\r\\=:#!u0041é", max_size=60))
@example("\\\n\\\n")
@example("a\\\n\n b")
def test_as_another_reader(text: str) -> None:
    try:
        expected = dict(javaproperties.loads(text))
    except ValueError:
        with pytest.raises(ValueError, match="hexadecimal"):
            parse_properties(text)
        return
    assert parse_properties(text) == expected
