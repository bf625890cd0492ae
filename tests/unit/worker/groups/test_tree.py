"""Which part of the control groups a worker may use. The kernel's own behaviour: tests/integration/test_control_groups.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.worker.groups.group import LEAF
from stoker.worker.groups.tree import NoTree, take


def machine(root: Path, group: str, controllers: str = "cpu memory pids", mounted: str = "/") -> Path:
    """Make files as the kernel shows them; return the folder of the group."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"1:name=systemd:/\n0::{group}\n")
    (root / "proc/self/mountinfo").write_text(f"29 23 0:26 {mounted} /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n")
    folder = root / "sys/fs/cgroup" / group.strip("/")
    folder.mkdir(parents=True)
    for place in {folder, folder.parent}:
        (place / "cgroup.controllers").write_text(controllers)
        for name in ("cgroup.procs", "cgroup.subtree_control"):
            (place / name).touch()
    return folder


def test_the_unit_s_subgroup_is_left_as_it_is(tmp_path: Path) -> None:
    folder = machine(tmp_path, f"/system.slice/worker.service/{LEAF}")
    assert take(move_others=False, root=f"{tmp_path}/") == str(folder.parent)
    assert (folder.parent / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_the_first_group_of_a_container_is_used(tmp_path: Path) -> None:
    folder = machine(tmp_path, "/")
    (folder / LEAF).mkdir()
    (folder / LEAF / "cgroup.procs").touch()  # as the kernel does in each new group
    assert take(move_others=False, root=f"{tmp_path}/") == str(folder)
    assert (folder / LEAF / "cgroup.procs").read_text().isdigit()


@pytest.mark.parametrize(
    ("group", "controllers", "words"),
    [
        ("/user.slice/session-1.scope", "cpu memory pids", "systemd-run --user --scope -p Delegate=yes"),
        ("/system.slice/worker.service", "cpu memory pids", "systemd 254 or newer"),
        ("/", "cpu io", "lack memory, pids"),
        ("/", "", "lack cpu, memory, pids"),
    ],
)
def test_a_worker_without_a_tree_names_the_fix(tmp_path: Path, group: str, controllers: str, words: str) -> None:
    machine(tmp_path, group, controllers)
    with pytest.raises(NoTree, match=words):
        take(move_others=True, root=f"{tmp_path}/")


def test_a_machine_with_version_1_only_names_the_fix(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/\n")
    (tmp_path / "proc/self/mountinfo").write_text("")
    with pytest.raises(NoTree, match=r"systemd\.unified_cgroup_hierarchy=1"):
        take(move_others=True, root=f"{tmp_path}/")


def test_an_unwritable_tree_is_named(tmp_path: Path) -> None:
    folder = machine(tmp_path, "/")
    (folder / LEAF).write_text("a file is in the way")
    with pytest.raises(NoTree, match=f"cannot use the control group {folder}/{LEAF}"):
        take(move_others=True, root=f"{tmp_path}/")
