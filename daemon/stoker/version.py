"""The version of this package, in one place: ``pyproject.toml`` takes it from here."""

from __future__ import annotations

import os.path
import sys

__version__ = "0.2.0.dev0"

_folder, _name = os.path.split(sys.prefix)

RELEASE = _name if _folder.endswith("/releases") and _name.startswith(f"{__version__}-") else __version__
"""The id of a release that a playbook installed on this host (PREFIX/releases/VERSION-DIGEST), elsewhere the version.
Daemons report it, so that an operator can see that an upgrade has arrived."""
