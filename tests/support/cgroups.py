"""Control groups (v1 or v2) for a test: the limits that a container or a systemd unit gives its processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.wait import wait_until

TREE = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def control_group(controller: str, v1: Mapping[str, str], v2: Mapping[str, str]) -> Iterator[list[str]]:
    """Make a group with these settings; yield the words that run a command in it. Skip the test if no group can be made.
    At the end, wait for the processes that run in the group."""
    is_v2 = (TREE / "cgroup.controllers").exists()
    group = (TREE if is_v2 else TREE / controller) / f"stoker-test-{os.getpid()}"
    try:
        group.mkdir()
        for name, value in (v2 if is_v2 else v1).items():
            (group / name).write_text(value)
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(
            f"needs the right to make control groups (root of a machine, or of a container with its own): {error}"
        )
    try:
        yield ["/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), what="the group is empty")
        wait_until(lambda: _removed(group), what="the group is removed")


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:
        return False
    return True
