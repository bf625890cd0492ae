"""Stoker: Spark-standalone clusters in Python, run by Ansible."""

from __future__ import annotations

import os.path
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stoker.client.application.connect import App

__version__ = "0.1.0"

# Of a release that was pushed to a host (PREFIX/releases/VERSION-DIGEST), its id: what daemons report, so that an upgrade can
# be seen to have arrived. Elsewhere the version.
_folder, _name = os.path.split(sys.prefix)
RELEASE = _name if _folder.endswith("/releases") and _name.startswith(f"{__version__}-") else __version__


def connect(master: str | None = None, *, name: str = "", conf: Mapping[str, object] | None = None) -> App:
    """An application of the cluster, for Dask, Ray or a pool: docs/python.md, and ``stoker.client.application.connect``."""
    from stoker.client.application.connect import connect  # noqa: PLC0415 - daemons import this package, and stay small

    return connect(master, name=name, conf=conf)
