"""The worker's header is removed from stderr where a run begins, however it is split into pieces; all other text stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stoker.client.logs.header import HeaderFilter

HEADER = b'Launch Command: "/usr/bin/python3" "job.py" "two\nlines"\n' + b"=" * 40 + b"\n\n"
EXECUTOR = b'Spark Executor Command: "sh"\n' + b"=" * 40 + b"\n\n"


def filtered(pieces: list[bytes]) -> bytes:
    only = HeaderFilter()
    return b"".join([*map(only.feed, pieces), only.finish()])


texts = st.lists(
    st.sampled_from([b"", b"\n", b"La", b"Launch Command: ", b"error\n", b"=" * 40 + b"\n", b"50%\r", b"x"])
).map(b"".join)


@given(before=texts, after=texts, data=st.data())
def test_any_cut_gives_the_same(before: bytes, after: bytes, data: st.DataObject) -> None:
    if before and not before.endswith(b"\n"):
        before += b"\n"
    whole = HEADER + before + EXECUTOR + after
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert filtered(pieces) == before + after


@given(text=texts, size=st.integers(1, 7))
def test_without_a_header_nothing_is_lost(text: bytes, size: int) -> None:
    assert filtered([text[start : start + size] for start in range(0, len(text), size)]) == text


def test_unfinished_lines_pass_at_once() -> None:
    only = HeaderFilter()
    assert only.feed(HEADER[:30]) == b""
    assert only.feed(HEADER[30:]) == b""
    assert only.feed(b"10%") == b"10%"
    assert only.feed(b"\r20%") == b"\r20%"


def test_a_header_begins_at_the_start_of_a_line() -> None:
    assert filtered([b"error: ", HEADER]) == b"error: " + HEADER
    assert filtered([b"error:\n", HEADER]) == b"error:\n"


def test_what_only_looks_like_a_header_is_shown_in_the_end() -> None:
    only = HeaderFilter()
    text = b'Launch Command: "rocket"\nlift off\n'
    assert only.feed(text) + only.finish() == text
    long = b'Launch Command: "' + b"x" * 100_000
    assert HeaderFilter().feed(long) == long
