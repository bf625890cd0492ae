"""What is wrong with a program's file: the words that follow its name."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from stoker.worker.jobs.program import fault_of, has_crlf

TRUE = Path("/bin/true").read_bytes()  # a program of this host


def patched(at: int, value: bytes) -> bytes:
    return TRUE[:at] + value + TRUE[at + len(value) :]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf#!/bin/sh\n", "begins with a byte order mark"),
        ("#!/bin/sh\n".encode("utf-16"), "is UTF-16 text"),
        (b"echo x\n", "a script needs a #! line"),
        (b"#!/no/such/shell -e\necho x\n", "needs /no/such/shell (its #! line), which this host does not have"),
        (b"#! /etc/passwd\n", "needs /etc/passwd (its #! line), which is not executable"),
        (b"#!\necho\n", "names no interpreter"),
        (b"#!/" + 300 * b"a" + b"\n", "more than 255 bytes"),
        (patched(18, struct.pack("<H", 0x28)), "is a program for arm; this host is "),
        (patched(18, struct.pack("<H", 0x7777)), "another processor (ELF machine 30583)"),
        (TRUE[:60], "is an incomplete program"),
        (TRUE.replace(b"/lib", b"/bil", 1), "which this host does not have: build it for this host's C library"),
        (b"\xcf\xfa\xed\xfe\x07\x00", "is a program for macOS"),
        (b"MZ\x90\x00", "is a program for Windows"),
    ],
)
def test_a_file_that_cannot_be_started(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "job").write_bytes(content)
    assert words in fault_of(tmp_path / "job")


@pytest.mark.parametrize("content", [b"#!/bin/sh\nexit 127\n", b"#! /bin/sh -e\n", TRUE])
def test_a_file_that_can_be_started(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "job").write_bytes(content)
    assert fault_of(tmp_path / "job") == ""
    assert not has_crlf(tmp_path / "job")


def test_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "job").write_bytes(b"#!/bin/sh \r\necho\r\n")
    assert has_crlf(tmp_path / "job") and not has_crlf(tmp_path / "missing")
