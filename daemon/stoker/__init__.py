"""Stoker: Spark-standalone clusters in Python, run by Ansible."""

import os.path
import sys

__version__ = "0.1.0"

# Of a release that was pushed to a host (PREFIX/releases/VERSION-DIGEST), its id: what daemons report, so that an upgrade can
# be seen to have arrived. Elsewhere the version.
_folder, _name = os.path.split(sys.prefix)
RELEASE = _name if _folder.endswith("/releases") and _name.startswith(f"{__version__}-") else __version__
