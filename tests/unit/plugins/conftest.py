"""Modules import each other by the collection's name, as on a host; the checkout is that collection."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "playbooks" / "collections"))
