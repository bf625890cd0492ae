"""What a name on ``submit``'s command line means, and every way in which it can be wrong."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from stoker.client.submit import sources
from stoker.client.submit.sources import FileIndex, combined
from stoker.errors import UsageError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("etl.py", "python"),
        ("/a/b/ETL.PY", "python"),
        ("app.pyz", "archive"),
        ("app-1.0-py3-none-any.whl", "archive"),
        ("hdfs://nn:9000/jobs/app.jar", "jar"),
        ("https://h/x/app.jar?token=1", "jar"),
        ("/usr/bin/true", "program"),
        ("job.sh", "program"),
    ],
)
def test_kinds_go_by_the_suffix(name: str, kind: str) -> None:
    assert sources.program_kind(name) == kind


def test_a_local_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    path.write_bytes(b"print(1)\n")
    book = FileIndex()
    source = book.source(str(path))
    assert source.artifact.sha256 == hashlib.sha256(b"print(1)\n").hexdigest()
    assert (source.artifact.name, source.artifact.size, source.artifact.url) == ("job.py", 9, "")
    assert not source.artifact.executable
    assert book.path_of(source.artifact.sha256) == path


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    book = FileIndex()
    path.write_bytes(b"one")
    first = book.source(str(path)).artifact
    path.write_bytes(b"three")
    second = book.source(str(path)).artifact
    assert first.sha256 != second.sha256
    assert second.size == 5


@pytest.mark.parametrize(
    ("url", "name", "stored"),
    [
        ("file:/opt/a.py", "a.py", "file:///opt/a.py"),
        ("file:///opt/a%20b.py", "a b.py", "file:///opt/a%20b.py"),
        ("local:///opt/a.py", "a.py", "local:///opt/a.py"),
        ("http://h:80/p/a.py", "a.py", "http://h:80/p/a.py"),
        ("s3://bucket/key/a.py", "a.py", "s3://bucket/key/a.py"),
    ],
)
def test_urls_are_left_to_the_worker(url: str, name: str, stored: str) -> None:
    source = FileIndex().source(url)
    assert source.path is None
    assert (source.artifact.name, source.artifact.url, source.artifact.sha256) == (name, stored, "")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://h/a.py", "unsupported scheme 'ftp'"),
        ("file://other-host/a.py", "absolute path"),
        ("file:relative.py", "absolute path"),
        ("http:///a.py", "names no file"),
        ("http://host/", "names no file"),
        ("local:/opt/stdout", "must not be called"),
    ],
)
def test_malformed_urls(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        FileIndex().source(url)


def test_a_colon_does_not_make_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run:2026.py").write_text("")
    assert FileIndex().source("run:2026.py").artifact.name == "run:2026.py"


def test_what_is_not_a_readable_file(tmp_path: Path) -> None:
    book = FileIndex()
    with pytest.raises(UsageError, match="No such file"):
        book.source(str(tmp_path / "none.py"))
    with pytest.raises(UsageError, match="is a directory"):
        book.source(str(tmp_path))
    with pytest.raises(UsageError, match="not a regular file"):
        book.source("/dev/null")
    with pytest.raises(UsageError, match="cannot read"):
        book.source("nul\0byte")
    (tmp_path / "stderr").write_text("")
    with pytest.raises(UsageError, match="must not be called 'stderr'"):
        book.source(str(tmp_path / "stderr"))


def test_a_program_must_be_executable(tmp_path: Path) -> None:
    path = tmp_path / "job"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o644)
    with pytest.raises(UsageError, match=f"chmod \\+x {path}"):
        sources.check_program(str(path))
    path.chmod(0o755)
    sources.check_program(str(path))


def test_a_bare_command_is_answered_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "frobnicate"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"give its path: {program}"):
        sources.check_program("frobnicate")


def test_the_manifest_names_the_main_class(tmp_path: Path) -> None:
    jar = tmp_path / "app.jar"
    long_name = "com.example." + "x" * 80 + ".Main"
    # Manifest lines have at most 72 bytes; a longer one goes on after a space.
    line = f"Main-Class: {long_name}"
    manifest = f"Manifest-Version: 1.0\r\n{line[:70]}\r\n {line[70:]}\r\n\r\n"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", manifest)
    assert sources.main_class_of(str(jar)) == long_name


def test_jars_without_a_main_class(tmp_path: Path) -> None:
    empty, broken = tmp_path / "empty.jar", tmp_path / "broken.jar"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("a.class", b"")
    broken.write_bytes(b"this is no zip file")
    for jar, says in (
        (str(empty), "no Main-Class"),
        (str(broken), "not a readable jar"),
        ("http://h/a.jar", "--class"),
    ):
        with pytest.raises(UsageError, match=says):
            sources.main_class_of(jar)


def test_one_name_is_one_file(tmp_path: Path) -> None:
    for folder, text in (("a", "1"), ("b", "2"), ("c", "1")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data.txt").write_text(text)
    book = FileIndex()
    one, other, same = (book.source(str(tmp_path / folder / "data.txt")) for folder in "abc")
    assert len(combined([one, one, same])) == 1
    with pytest.raises(UsageError, match=r"two files .* 'data\.txt'"):
        combined([one, other])


def test_an_executable_copy_of_the_same_file_wins(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_text("x")
    book = FileIndex()
    plain, executable = book.source(str(path), executable=False), book.source(str(path), executable=True)
    assert combined([plain, executable])[0].executable
