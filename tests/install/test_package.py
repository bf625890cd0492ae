"""The sdist and the wheel: what is in them, what an index says about them, and that no build tool warns of them."""

from __future__ import annotations

import email
import email.message
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import tomllib

import stoker

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "daemon" / "stoker"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both. A deprecation in the build tool is an error here, long before it is one there."""
    folder = tmp_path_factory.mktemp("dist")
    command = [
        sys.executable,
        "-W",
        "error::DeprecationWarning",
        "-m",
        "hatchling",
        "build",
        "--directory",
        str(folder),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "deprecat" not in (done.stdout + done.stderr).lower(), done.stderr
    return folder


def sources() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "daemon/stoker"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name.removeprefix("daemon/") for name in listed.stdout.split() if (ROOT / name).exists()}


def metadata(built: Path) -> email.message.Message:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(wheel.read(name))


def test_the_wheel_has_every_file_of_the_program_and_no_other(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())
    assert names == sources()


def test_the_sdist_has_what_a_wheel_is_built_from(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {f"daemon/{name}" for name in sources()} <= names
    rest = {name for name in names if not name.startswith("daemon/")}
    assert rest == {"pyproject.toml", "PKG-INFO", "LICENSE", "docs/package.md", ".gitignore"}


def test_an_index_takes_them(built: Path) -> None:
    files = [str(path) for path in built.iterdir() if path.suffix in (".whl", ".gz")]
    words = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout.count("PASSED") == 2, done.stdout + done.stderr


def test_metadata(built: Path) -> None:
    found = metadata(built)
    assert found["Version"] == stoker.__version__
    assert found["License-Expression"] == "Apache-2.0" and found["License-File"] == "LICENSE"
    assert not [line for line in found.get_all("Classifier", []) if line.startswith("License ::")], (
        "PEP 639 has an end of them"
    )
    text = str(found.get_payload())
    assert text.startswith("# Stoker") and "]: " not in text
    assert not re.search(r"\]\((?!https?://)", text), "relative links lead nowhere on an index"


def test_the_build_tool_is_bounded() -> None:
    """Without a bound, a future release of it decides that this release does not build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert all("<" in need for need in project["build-system"]["requires"])


def test_no_text_says_to_install_a_distribution_that_no_index_has() -> None:
    """Somebody else could register it. `pip install .[dask]` works, in a checkout, and so do the names of packages."""
    folders = ("daemon", "docs", "examples", "playbooks", "plugins", "roles", "scripts")
    paths = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md", ".yml", "")
    ]
    for path in [*paths, ROOT / "README.md"]:
        if path.is_file() and "__pycache__" not in path.parts:
            assert not re.search(r"pip install '?stoker\b|stoker\[", path.read_text(errors="replace")), path


def test_what_messages_say_to_install_is_what_an_extra_would() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    known = {re.split(r"[\[<>=]", need)[0] for needs in extras.values() for need in needs}
    for path in SOURCES.rglob("*.py"):
        for named in re.findall(r"pip install ((?:[a-z][a-z0-9\-]+(?: (?!on\b|for\b|there\b)|\b))+)", path.read_text()):
            assert set(named.split()) <= known, (path, named)


def install_lines() -> list[str]:
    pages = [
        ROOT / "README.md",
        *sorted(page for folder in ("docs", "examples") for page in (ROOT / folder).rglob("*.md")),
    ]
    return sorted(
        {line for page in pages for line in re.findall(r"[\w./]*pip install [^`#\n]*'\.\[[^`#\n]*'", page.read_text())}
    )


@pytest.mark.parametrize("line", install_lines())
def test_an_install_line_of_the_pages_works(line: str) -> None:
    """Typed in a checkout. Without an index: the environment of the tests has what the line asks for."""
    assert line.startswith(".venv/bin/pip install -e "), "Debian's own pip rejects anything else (PEP 668)"
    extras = line.partition("[")[2].partition("]")[0].split(",")
    needed = {"dask": "distributed", "ray": "ray", "spark": "pyspark"}
    if lacking := [needed[extra] for extra in extras if extra in needed and not find_spec(needed[extra])]:
        pytest.skip(f"needs {', '.join(lacking)}: make test ENGINES=yes brings it")
    words = [
        *shlex.split(line.removeprefix(".venv/bin/pip install ")),
        "--dry-run",
        "--no-index",
        "--no-build-isolation",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and "does not provide the extra" not in done.stderr, done.stdout + done.stderr
