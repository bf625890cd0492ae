"""A job's group as files, where no kernel is needed. With one: tests/integration/test_control_groups.py."""

from __future__ import annotations

from pathlib import Path

from stoker.worker.groups.group import JobGroup


def test_a_group_that_a_killed_keeper_left_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "job-app-1_0" / "of-the-job" / "deeper").mkdir(parents=True)
    group = JobGroup(str(tmp_path), "app-1/0")
    group.make()
    assert Path(group.path) == tmp_path / "job-app-1_0" and list(Path(group.path).iterdir()) == []
    group.remove()
    group.remove()  # what is gone is no error
    assert list(tmp_path.iterdir()) == []


def test_what_a_kernel_without_memory_peak_used_is_the_highest_sample(tmp_path: Path) -> None:
    group = JobGroup(str(tmp_path), "d")
    group.make()
    for now in (5, 9, 7):
        (Path(group.path) / "memory.current").write_text(f"{now}\n")
        group.sample()
    (Path(group.path) / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")
    assert group.used() == (9, 1.5)


def test_only_the_kernel_s_own_kills_are_out_of_memory(tmp_path: Path) -> None:
    group = JobGroup(str(tmp_path), "d")
    group.make()
    for events, is_out in (("", False), ("oom 3\noom_kill 0\n", False), ("oom 3\noom_kill 1\n", True)):
        (Path(group.path) / "memory.events").write_text(events)
        assert group.is_out_of_memory == is_out


def test_a_group_is_empty_once_no_process_is_in_it_or_below(tmp_path: Path) -> None:
    group = JobGroup(str(tmp_path), "d")
    assert group.is_empty, "it does not exist"
    group.make()
    for populated in (1, 0):
        (Path(group.path) / "cgroup.events").write_text(f"populated {populated}\nfrozen 0\n")
        assert group.is_empty == (populated == 0)
