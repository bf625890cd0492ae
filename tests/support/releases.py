"""Earlier releases of Stoker, from the repository's history: to test that neighbours understand each other."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMITS = {"0.1.0": "d0544d3"}


def source_of(release: str, folder: Path) -> Path:
    """Unpack a release; return what PYTHONPATH needs to run it. Skips the test where the history is not there."""
    archive = folder / f"{release}.tar"
    words = ["git", "-C", str(ROOT), "archive", "-o", str(archive), COMMITS[release], "daemon"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs git: sudo apt-get install git")
    if done.returncode != 0:
        pytest.skip(f"needs the repository's history, for release {release}: git fetch --unshallow")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / release, filter="data")
    return folder / release / "daemon"
