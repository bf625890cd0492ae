# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""What to do about an error of the operating system, in words."""

from __future__ import annotations

import errno


def explained(error: OSError, where: str) -> str:
    """Return one line that names the file (``where``, if the error names none), the problem, and what to do about it."""
    place = str(error.filename or where)
    return f"{place}: {error.strerror or error}: {_advice(error, place)}"


def _advice(error: OSError, place: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"make room (df -h {place}; df -i {place}), then run the playbook again"
    if error.errno == errno.EROFS:
        return "remount that file system for writing, or choose other folders (stoker_common_prefix, ...)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "this needs root: set ansible_become"
    return "repair that on the host, then run the playbook again"
