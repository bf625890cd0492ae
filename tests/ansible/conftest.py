"""Tests import the modules as a host does: they find their own package as ``ansible_collections.stoker.spark``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "playbooks" / "collections"))
