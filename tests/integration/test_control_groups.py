"""Limits and accounts of jobs on real control groups, in a kernel of their own (``kernel_groups`` runs there)."""

from __future__ import annotations

import signal
import sys
from typing import Any

import pytest

from tests.support.uml import run_in_kernel


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What happened in the kernel: check -> facts. It boots once for all tests here."""
    command = [sys.executable, "-S", "tests/integration/kernel_groups.py"]
    return {line["check"]: line for line in run_in_kernel(tmp_path_factory.mktemp("kernel"), command)}


def test_the_group_that_systemd_delegates_is_found_and_others_are_refused(said: dict[str, dict[str, Any]]) -> None:
    places = said["places"]
    assert places["unit"] == "/sys/fs/cgroup/stoker.service"
    assert "DelegateSubgroup=stoker-daemon" in places["refused"]["worker.service"]
    assert "systemd-run --user --scope" in places["refused"]["session-1.scope"]
    assert places["delegated"]["delegated.scope"] == "/sys/fs/cgroup/delegated.scope"
    assert "DelegateSubgroup=stoker-daemon" in places["delegated"]["delegated.service"]


@pytest.mark.parametrize("check", ["hog", "hog-in-background"])
def test_a_job_over_its_memory_is_killed_as_a_whole_and_that_is_said(
    said: dict[str, dict[str, Any]], check: str
) -> None:
    end = said[check]["end"]
    assert (end["signal"], end["oom"], end["limit_mib"], end["peak_mib"]) == (signal.SIGKILL, True, 6, 6)
    assert said[check]["groups"] == []


def test_a_job_that_ends_by_itself_is_measured(said: dict[str, dict[str, Any]]) -> None:
    end = said["modest"]["end"]
    assert (end["code"], end["limit_mib"]) == (3, 6) and "oom" not in end
    assert 0 < end["peak_mib"] < 6 and 0 < end["cpu_seconds"] < 60


def test_with_account_nothing_is_limited(said: dict[str, dict[str, Any]]) -> None:
    end = said["account"]["end"]
    assert end["code"] == 0 and end["peak_mib"] >= 16 and "limit_mib" not in end


def test_a_job_that_somebody_kills_is_not_out_of_memory(said: dict[str, dict[str, Any]]) -> None:
    end = said["killed itself"]["end"]
    assert end["signal"] == signal.SIGKILL and "oom" not in end


def test_a_job_gets_no_more_processes_than_it_may_have(said: dict[str, dict[str, Any]]) -> None:
    assert said["processes"]["end"]["code"] != 0 and said["processes"]["said"] == ""


def test_every_limit_is_written(said: dict[str, dict[str, Any]]) -> None:
    assert said["stopped"]["files"] == {
        "memory.max": str(64 << 20),
        "memory.oom.group": "1",
        "cpu.weight": "300",
        "cpu.max": "150000 100000",
        "pids.max": "9",
    }


def test_a_stop_ends_all_of_a_job_also_what_has_no_mark_and_ignores_term(said: dict[str, dict[str, Any]]) -> None:
    ends = said["stopped"]["ends"]
    assert ends["app-1/0"]["signal"] == signal.SIGTERM
    assert ends["stubborn"]["signal"] == signal.SIGKILL
    assert said["stopped"]["groups"] == []


def test_what_a_main_process_leaves_ends_with_it(said: dict[str, dict[str, Any]]) -> None:
    assert said["left-over"]["end"]["code"] == 0 and said["left-over"]["groups"] == []


def test_a_broken_tree_refuses_the_job_or_measures_it_without_groups(said: dict[str, dict[str, Any]]) -> None:
    broken = said["broken"]
    assert (broken["enforced"]["op"], broken["enforced"]["stage"]) == ("failed", "limits")
    assert broken["accounted"]["code"] == 0 and broken["accounted"]["peak_mib"] > 0
    assert broken["no_program"]["code"] == 127
    assert (broken["impossible"]["op"], broken["impossible"]["stage"]) == ("failed", "limits")
    assert broken["groups"] == []


def test_the_groups_of_a_killed_keeper_are_emptied_by_the_next(said: dict[str, dict[str, Any]]) -> None:
    killed = said["killed keeper"]
    assert killed["had"] >= 3
    assert (killed["groups"], killed["alive"], killed["lost"]) == ([], [], ["orphan"])
    assert said["bye"]["said"] == "bye"
