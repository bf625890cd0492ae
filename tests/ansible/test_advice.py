"""The messages of modules when a host's file system does not let them work."""

from __future__ import annotations

import errno
import os

import pytest

from plugins.module_utils.advice import explained

pytestmark = pytest.mark.ansible


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "make room (df -h /opt/stoker; df -i /opt/stoker)"),
        (errno.EDQUOT, "make room"),
        (errno.EROFS, "remount that file system for writing"),
        (errno.EACCES, "set ansible_become"),
        (errno.EPERM, "set ansible_become"),
        (errno.EIO, "repair that on the host"),
    ],
    ids=lambda value: errno.errorcode.get(value, "") if isinstance(value, int) else "",
)
def test_the_advice_fits_the_error(code: int, advice: str) -> None:
    said = explained(OSError(code, os.strerror(code)), "/opt/stoker")
    assert said.startswith(f"/opt/stoker: {os.strerror(code)}: ") and advice in said
    assert ("become" in said) is (code in (errno.EACCES, errno.EPERM))


def test_the_file_of_the_error_is_named_where_it_is_known() -> None:
    assert explained(OSError(errno.ENOSPC, "No space left on device", "/opt/x"), "/opt").startswith("/opt/x: No space")
