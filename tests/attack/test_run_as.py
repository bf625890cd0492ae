"""Jobs that run as their submitters (docs/run-as.md): real accounts, real daemons as systemd starts them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.accounts import UIDS, AccountsMachine, SharedCluster, machine

__all__ = ["machine"]
pytestmark = [pytest.mark.cluster, pytest.mark.slow]

WHO = """\
import grp, json, os, sys
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
print(json.dumps({
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(), "cwd": os.getcwd(),
    "mode": os.stat(".").st_mode & 0o777, "owner": os.stat(".").st_uid, "umask": os.umask(0),
    "caps": [status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")],
    "env": dict(os.environ), "mine": os.access(sys.argv[0], os.R_OK),
}))
os.system("echo to-stderr >> /dev/stderr; echo end >> /dev/stdout")
"""


def test_a_job_runs_as_its_submitter(machine: AccountsMachine) -> None:
    with SharedCluster(machine, "required", users="principals:\n  carol: bob\n") as cluster:
        cluster.invite("ada")
        script = cluster.script("who.py", WHO)
        job = cluster.submit_as("ada", script)
        cluster.wait_for(job, "FINISHED", "FAILED", "ERROR")
        printed = cluster.cli("logs", job).stdout.splitlines()
        found = json.loads(printed[0])
        assert found["uid"] == [UIDS["ada"]] * 3 and found["gid"] == [UIDS["ada"]] * 3
        assert found["groups"] == [UIDS["ada"]]
        assert found["caps"] == ["0000000000000000"] * 4
        assert (found["owner"], oct(found["mode"]), oct(found["umask"])) == (UIDS["ada"], "0o700", "0o77")
        assert found["env"]["HOME"] == str(machine.folder_of("ada"))
        assert [found["env"][name] for name in ("USER", "LOGNAME", "SHELL")] == ["ada", "ada", "/bin/bash"]
        assert found["env"]["STOKER_KEYS_DIR"] == f"{machine.folder_of('ada')}/.config/stoker/keys"
        assert "STOKER_STATE_DIR" not in found["env"]
        assert printed[1:] == ["end"]
        assert "to-stderr" in cluster.cli("logs", "--stderr", job).stdout
        daemon = Path(f"/proc/{cluster.worker[0].pid}/status").read_text()
        assert "CapPrm:\t0000000000000000" in daemon and f"Uid:\t{UIDS['stoker']}" in daemon
        keeper = Path(f"/proc/{cluster.keeper_pid()}/status").read_text()
        assert "CapPrm:\t00000000000000e1" in keeper and "CapEff:\t0000000000000020" in keeper
        assert "CapAmb:\t0000000000000000" in keeper
        assert os.stat(cluster.work / job / "stdout").st_uid == UIDS["stoker"]
