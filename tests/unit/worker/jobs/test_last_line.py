"""The last line of stderr: what is shown of it, and what is not."""

from __future__ import annotations

import pytest

from stoker.worker.jobs.last_line import MOST, last_line

HEADER = b'Launch Command: "python3" "etl.py"\n' + b"=" * 40 + b"\n\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"", ""),
        (HEADER, ""),
        (HEADER + b"\n \n", ""),
        (HEADER + b"Traceback:\nValueError: no\n", "ValueError: no"),
        (b"old\n" + HEADER, ""),
        (b"cut off in the middle", "cut off in the middle"),
        (b"a\nb\n\n   \n\x1b[0m\n", "b"),
        (b"\x1b[31mred\x1b[0m \x1b]0;title\x07word\n", "red word"),
        (b"10%\r50%\r100%\n", "100%"),
        (b"tab\tand   spaces\n", "tab and spaces"),
        (b"\xff\xfe bytes\n", "\ufffd\ufffd bytes"),
        ("a\u202eb\u200b\n".encode(), "ab"),
        ("ערך 😀\n".encode(), "ערך 😀"),
        (b"\0\x07\n", ""),
    ],
)
def test_the_last_line(text: bytes, line: str) -> None:
    assert last_line(text) == line


def test_a_long_line_is_cut() -> None:
    assert last_line(b"x" * 5000) == "x" * (MOST - 1) + "…"
