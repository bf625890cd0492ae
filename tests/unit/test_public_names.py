"""``import stoker``: the names a program may use, and what importing the package costs those that use none."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import stoker

ROOT = Path(__file__).parents[2]


def names_for_type_checkers() -> set[str]:
    tree = ast.parse(Path(stoker.__file__).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    assert len(blocks) == 1
    return {alias.name for node in blocks[0].body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_the_three_lists_of_names_agree() -> None:
    names = [name for group in stoker._MODULES.values() for name in group]
    assert stoker.__all__ == sorted(stoker.__all__)
    assert len(names) == len(set(names))
    assert set(names) == names_for_type_checkers() == set(stoker.__all__) - {"__version__"}


@pytest.mark.parametrize("name", stoker.__all__)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    value = getattr(stoker, name)
    assert getattr(stoker, name) is value
    assert name in dir(stoker)
    if isinstance(value, type) or callable(value):
        assert (value.__doc__ or "").strip(), f"stoker.{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'conect'"):
        stoker.conect  # noqa: B018


def test_importing_the_package_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import stoker; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()) <= {"stoker", "stoker.version", "__future__"}


def test_the_reference_in_the_documentation_is_current() -> None:
    words = [sys.executable, str(ROOT / "scripts" / "reference"), "--check"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
