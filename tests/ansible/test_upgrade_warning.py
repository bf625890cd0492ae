"""start-all and rotate-keys of a changed checkout say that they upgrade, and which playbook can go back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from plugins.action.stoker_lock import _warned as warned

pytestmark = pytest.mark.ansible
PLAYBOOKS = Path(__file__).parents[2] / "playbooks"


def test_a_run_that_upgrades_says_so_and_names_the_playbook_that_can_go_back() -> None:
    (said,) = warned({"current": "0.1.0-aa"}, "0.2.0-bb")["warnings"]
    assert "upgrades the cluster from release 0.1.0-aa to 0.2.0-bb" in said
    assert "does not go back when a host fails" in said and "playbooks/upgrade.yml does" in said


@pytest.mark.parametrize(
    ("current", "release"),
    [("0.1.0-aa", "0.1.0-aa"), ("", "0.1.0-aa"), ("0.1.0-aa", "")],
    ids=["the same", "the first", "a release by name, or upgrade.yml"],
)
def test_a_run_that_changes_no_release_says_nothing(current: str, release: str) -> None:
    assert "warnings" not in warned({"current": current}, release)


@pytest.mark.parametrize("name", ["start-all", "start-master", "start-workers", "rotate-keys"])
def test_playbooks_that_push_the_checkout_warn(name: str) -> None:
    plays = yaml.safe_load((PLAYBOOKS / f"{name}.yml").read_text())
    (lock,) = [play for play in plays if play.get("ansible.builtin.import_playbook") == "lock.yml"]
    assert "__stoker_upgrades" not in lock.get("vars", {})
