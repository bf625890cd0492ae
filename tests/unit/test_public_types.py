"""What type checkers know of the public names: everything, by pyright's own measure (``--verifytypes``)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import stoker


@pytest.mark.slow
def test_every_public_name_has_a_known_type(tmp_path: Path) -> None:
    checker = shutil.which("basedpyright", path=str(Path(sys.executable).parent))
    if checker is None:
        pytest.skip("basedpyright is missing: make test")
    words = [checker, "--verifytypes", "stoker", "--ignoreexternal", "--outputjson"]
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=110, check=False)
    symbols = json.loads(done.stdout)["typeCompleteness"]["symbols"]
    names = {symbol["name"]: symbol for symbol in symbols}
    public = set(stoker.__all__) - {"__version__"}  # which pyright takes for private
    assert {f"stoker.{name}" for name in public} <= names.keys()
    unknown = [
        name
        for name, symbol in names.items()
        if name.split(".")[1:2] and name.split(".")[1] in public
        if not symbol["isTypeKnown"] or symbol.get("isTypeAmbiguous")
    ]
    assert unknown == []
