"""Whether the kernel killed a job for memory: by control groups v2 and v1, in a container, and without either."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.worker.keeper.oom import OomCounter


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("membership", "counter"),
    [
        ("0::/system.slice/worker.service\n", "sys/fs/cgroup/system.slice/worker.service/memory.events"),
        ("0::/\n", "sys/fs/cgroup/memory.events"),
        ("0::/as/the/host/sees/it\n", "sys/fs/cgroup/memory.events"),
        ("4:memory:/worker\n0::/\n", "sys/fs/cgroup/memory/worker/memory.oom_control"),
        ("4:cpu,memory:/docker/1f\n", "sys/fs/cgroup/memory/memory.oom_control"),
        ("0::/nowhere\n", "proc/vmstat"),
        ("", "proc/vmstat"),
    ],
)
def test_it_has_grown_once_for_each_look(tmp_path: Path, membership: str, counter: str) -> None:
    write(tmp_path, "proc/self/cgroup", membership)
    write(tmp_path, counter, "low 0\noom 9\noom_kill 3\noom_group_kill 1\n")
    found = OomCounter(str(tmp_path))
    assert not found.has_grown()
    write(tmp_path, counter, "low 0\noom 9\noom_kill 5\noom_group_kill 1\n")
    assert found.has_grown()
    assert not found.has_grown()


def test_without_any_counter_nothing_is_claimed(tmp_path: Path) -> None:
    assert not OomCounter(str(tmp_path)).has_grown()
