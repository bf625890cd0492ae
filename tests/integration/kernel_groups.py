"""Runs in a kernel of its own, for ``test_control_groups``: a real keeper, real groups. It prints what happened, one JSON
object a line. Standard library and Stoker's ``worker`` only: Python starts slowly there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stoker.worker.groups.group import LEAF
from stoker.worker.groups.tree import NoTree, take
from stoker.worker.keeper import keeper

SLOT = Path("/tmp/slot")
MIB = 1 << 20
JOBS = 100  # of a measurement
HOG = "dd if=/dev/zero of=/dev/null bs=16M count=1"


class Keeper:
    """A keeper's process, and the daemon's end of its connection."""

    def __init__(self) -> None:
        listener = socket.socket(socket.AF_UNIX)
        SLOT.mkdir(exist_ok=True)
        path = SLOT / "sock"
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen()
        listener.set_inheritable(True)
        options = {
            "--listen": str(listener.fileno()), "--journal": str(SLOT / "journal"), "--away": "60", "--silence": "60",
            "--grace": "0.3", "--release": "test",
        }  # fmt: skip
        command = [
            sys.executable,
            "-I",
            "-S",
            str(keeper.__file__),
            *(word for pair in options.items() for word in pair),
        ]
        self.process = subprocess.Popen(command, pass_fds=[listener.fileno()])
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        connection.settimeout(30)
        self._lines = connection.makefile("rwb")
        listener.close()

    def say(self, **message: Any) -> None:
        self._lines.write(json.dumps(message).encode() + b"\n")
        self._lines.flush()

    def spawn(self, key: str, script: str, limits: dict[str, Any] | None) -> dict[str, Any]:
        """Return the answer."""
        folder = SLOT / key.replace("/", "_")
        folder.mkdir()
        message: dict[str, Any] = {
            "op": "spawn", "key": key, "argv": ["/bin/sh", "-c", script], "env": {"PATH": os.environ["PATH"]},
            "cwd": str(folder), "stdout": str(folder / "stdout"), "stderr": str(folder / "stderr"), "header": "", "note": "n",
        }  # fmt: skip
        self.say(**message, **({} if limits is None else {"limits": limits}))
        return self.hear()

    def hear(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._lines.readline())
        return found

    def run(self, key: str, script: str, limits: dict[str, Any] | None) -> dict[str, Any]:
        """Return the job's end."""
        answer = self.spawn(key, script, limits)
        if answer["op"] == "started":
            answer = self.hear()
        self.say(op="forget", key=key)
        return answer


def said(key: str) -> str:
    return (SLOT / key / "stdout").read_text()


def tell(check: str, **facts: Any) -> None:
    print(json.dumps({"check": check, **facts}), flush=True)


def groups(tree: str) -> list[str]:
    return sorted(path.name for path in Path(tree).iterdir() if path.is_dir() and path.name.startswith("job-"))


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(str(path))
        time.sleep(0.01)


@contextlib.contextmanager
def inside(group: Path) -> Iterator[None]:
    """Be in a group of that path meanwhile."""
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.procs").write_text("0")
    try:
        yield
    finally:
        Path("/sys/fs/cgroup/cgroup.procs").write_text("0")


def places() -> None:
    top = Path("/sys/fs/cgroup")
    (top / "cgroup.subtree_control").write_text("+cpu +memory +pids")
    refused = {}
    for name in ("worker.service", "session-1.scope"):
        with inside(top / name):
            try:
                refused[name] = take(move_others=True)
            except NoTree as error:
                refused[name] = str(error)
    delegated = {}
    for name in ("delegated.service", "delegated.scope"):
        with inside(top / name):
            os.setxattr(top / name, "trusted.delegate", b"1")  # as systemd does
            try:
                delegated[name] = take(move_others=True)
            except NoTree as error:
                delegated[name] = str(error)
    with inside(top / "stoker.service" / LEAF):
        tree = take(move_others=False)
    tell("places", refused=refused, delegated=delegated, unit=tree)


def limits(tree: str, kept: Keeper) -> None:
    enforce = {"tree": tree, "enforce": True}
    for key, script in (("hog", HOG), ("hog-in-background", f"({HOG}) & wait")):
        tell(key, end=kept.run(key, script, {**enforce, "memory": 6 * MIB}), groups=groups(tree))
    tell(
        "modest",
        end=kept.run(
            "modest", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; exit 3", {**enforce, "memory": 6 * MIB}
        ),
    )
    tell("account", end=kept.run("account", HOG, {"tree": tree}))
    tell("killed itself", end=kept.run("killed-itself", "kill -9 $$", {**enforce, "memory": 64 * MIB}))
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; echo never"
    tell("processes", end=kept.run("processes", script, {**enforce, "processes": 5}), said=said("processes"))
    kept.spawn(
        "app-1/0", "echo > up; sleep 100", {**enforce, "memory": 64 * MIB, "weight": 300, "cpus": 1.5, "processes": 9}
    )
    wait_for(SLOT / "app-1_0" / "up")
    group = Path(tree) / "job-app-1_0"
    names = ("memory.max", "memory.oom.group", "cpu.weight", "cpu.max", "pids.max")
    files = {name: (group / name).read_text().strip() for name in names}
    daemonised = "trap '' TERM; setsid env -i sh -c 'trap \"\" TERM; echo > up; while :; do sleep 1; done' &"
    kept.spawn("stubborn", f"{daemonised} wait", enforce)
    wait_for(SLOT / "stubborn" / "up")
    for key in ("app-1/0", "stubborn"):
        kept.say(op="stop", key=key, grace=0.2)
    ends = [kept.hear(), kept.hear()]
    tell("stopped", files=files, ends={end["key"]: end for end in ends}, groups=groups(tree))
    left = "setsid env -i sh -c 'echo > up; sleep 100' & while [ ! -e up ]; do :; done"
    tell("left-over", end=kept.run("left-over", left, enforce), groups=groups(tree))


def broken(tree: str, kept: Keeper) -> None:
    missing = f"{tree}/missing"
    tell(
        "broken",
        enforced=kept.run("no-tree", "exit 0", {"tree": missing, "enforce": True}),
        accounted=kept.run("no-tree-2", "exit 0", {"tree": missing}),
        no_program=kept.run("no-program", "exec /missing", {"tree": tree, "enforce": True, "memory": MIB}),
        impossible=kept.run("impossible", "sleep 100", {"tree": tree, "enforce": True, "processes": -5}),
        groups=groups(tree),
    )


def rates(tree: str, kept: Keeper) -> None:
    modes: dict[str, dict[str, Any] | None] = {
        "off": None, "processes": {}, "account": {"tree": tree},
        "enforce": {"tree": tree, "enforce": True, "memory": 64 * MIB, "weight": 100, "processes": 100},
    }  # fmt: skip
    best = dict.fromkeys(modes, float("inf"))
    for turn in range(3):
        for mode, limits in modes.items():
            start = time.monotonic()
            for number in range(JOBS // 3):
                kept.run(f"{mode}-{turn}-{number}", "exit 0", limits)
            best[mode] = min(best[mode], time.monotonic() - start)
    tell("rates", seconds=best, groups=groups(tree))


def killed_keeper(tree: str, kept: Keeper) -> None:
    kept.spawn("orphan", "trap '' TERM; setsid env -i sh -c 'trap \"\" TERM; echo > up; sleep 100' & sleep 100",
               {"tree": tree, "enforce": True})  # fmt: skip
    wait_for(SLOT / "orphan" / "up")
    pids = (Path(tree) / "job-orphan" / "cgroup.procs").read_text().split()
    kept.process.send_signal(signal.SIGKILL)
    kept.process.wait()
    following = Keeper()
    following.say(op="hello")
    jobs = following.hear()
    alive = [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]
    tell("killed keeper", groups=groups(tree), alive=alive, lost=jobs["lost"], had=len(pids))
    following.say(op="shutdown", grace=0.1)
    tell("bye", said=following.hear()["op"])


def main() -> None:
    places()
    tree = take(move_others=False)
    kept = Keeper()
    limits(tree, kept)
    broken(tree, kept)
    if "--rates" in sys.argv:
        rates(tree, kept)
    killed_keeper(tree, kept)


if __name__ == "__main__":
    main()
