"""The worker's own part of the machine's control groups: find it, and take it. Standard library only."""

from __future__ import annotations

import contextlib
import os

from stoker.worker.groups.files import read, write
from stoker.worker.groups.group import LEAF

CONTROLLERS = ("cpu", "memory", "pids")
SERVICE = (
    "this worker's group is not delegated to it as it must be: start it with playbooks/start-all.yml, whose unit has"
    f" Delegate=yes and DelegateSubgroup={LEAF} (systemd 254 or newer)"
)
SHELL = (
    "this worker has no control group of its own: start it as a systemd service (playbooks/start-all.yml), or with"
    " 'systemd-run --user --scope -p Delegate=yes stoker worker ...'"
)


class NoTree(Exception):
    """There is no tree that this worker may use; the text says why, and what would help."""


def take(*, move_others: bool, root: str = "/") -> str:
    """Move this process to the leaf for daemons in the worker's own tree, and let groups beside it have limits. Return the
    tree's path. Raises NoTree. ``move_others``: move other processes in the tree's own group to the leaf too, if they are in
    the way: in a container, its first process. ``root`` is ``/`` except in tests."""
    mount, group = _place(root)
    own = mount + group.rstrip("/")
    tree = os.path.dirname(own) if os.path.basename(own) == LEAF else own  # noqa: PTH119, PTH120
    lacking = [name for name in CONTROLLERS if name not in read(f"{tree}/cgroup.controllers").split()]
    if lacking:
        raise NoTree(
            f"control groups version 2 lack {', '.join(lacking)} at {tree}: boot with systemd.unified_cgroup_hierarchy=1,"
            " or give the container its controllers"
        )
    if tree == own and group != "/" and not _is_delegated(tree):
        raise NoTree(SERVICE if group.endswith(".service") else SHELL)
    try:
        _take(tree, move_others=move_others or tree != own)
    except OSError as error:
        raise NoTree(f"cannot use the control group {error.filename or tree}: {error.strerror}") from None
    return tree


def own_tree() -> str:
    """Return the tree whose leaf this process is in; "" if it is in none."""
    try:
        mount, group = _place("/")
    except NoTree:
        return ""
    tree, _, name = group.rpartition("/")
    return mount + tree if name == LEAF else ""


def _take(tree: str, *, move_others: bool) -> None:
    leaf = f"{tree}/{LEAF}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(leaf)  # noqa: PTH102
    write(f"{leaf}/cgroup.procs", str(os.getpid()))
    wanted = " ".join(f"+{name}" for name in CONTROLLERS)
    try:
        write(f"{tree}/cgroup.subtree_control", wanted)
    except OSError:  # a group whose subgroups have limits must not have processes itself
        if not move_others:
            raise
        for pid in read(f"{tree}/cgroup.procs").split():
            with contextlib.suppress(OSError):  # it has exited, or is the kernel's
                write(f"{leaf}/cgroup.procs", pid)
        write(f"{tree}/cgroup.subtree_control", wanted)


def _is_delegated(tree: str) -> bool:
    """Return whether systemd has delegated the group. A service's own group does not count: systemd cannot start a service
    again in a group whose subgroups have limits; ``DelegateSubgroup`` is there for that."""
    if tree.endswith(".service"):
        return False
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(tree, name) == b"1":
                return True
    return False


def _place(root: str) -> tuple[str, str]:
    """Return where version 2 is mounted, and this process's group in it. Raises NoTree."""
    missing = NoTree("this machine has no control groups version 2: boot with systemd.unified_cgroup_hierarchy=1")
    mount = next((line for line in read(f"{root}proc/self/mountinfo").splitlines() if " - cgroup2 " in line), None)
    group = next((line[3:] for line in read(f"{root}proc/self/cgroup").splitlines() if line.startswith("0::")), None)
    if mount is None or group is None:
        raise missing
    shown, folder = mount.split()[3:5]  # what of the hierarchy is mounted, and where
    if shown != "/" and group.startswith(shown):
        group = group[len(shown) :] or "/"
    return root.rstrip("/") + folder, group
