# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The release that is built from this checkout."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from pathlib import Path

BUILDER = Path(__file__).resolve().parents[2] / "scripts" / "build-release"
# Known when this is imported: Ansible loads a plugin once and then forks a process for each host, which would find the same.
RELEASE: str = SourceFileLoader("build_release", str(BUILDER)).load_module().release_id()
