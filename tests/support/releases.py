"""Earlier releases of Stoker, to test that peers of different releases understand each other."""

from __future__ import annotations

import tarfile
from pathlib import Path

ARCHIVES = Path(__file__).parents[1] / "data" / "releases"


def source_of(release: str, folder: Path) -> Path:
    """Unpack a release; return what PYTHONPATH needs to run it.

    The archives are ``git archive TAG daemon/stoker`` without the dashboards' vendored libraries: a clone may lack the
    history, and an upgrade must be tested there as well.
    """
    with tarfile.open(ARCHIVES / f"stoker-{release}.tar.xz") as packed:
        packed.extractall(folder / release, filter="data")
    return folder / release / "daemon"
