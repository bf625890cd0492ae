"""Two runs of the playbooks on one host at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.lock import locked
from tests.support.wait import wait_until

pytestmark = pytest.mark.ansible
REPO = Path(__file__).parents[2]
HOLD = """
import sys
sys.path.append(sys.argv[1])
from plugins.module_utils.lock import locked
class Module:
    check_mode = False
with locked(Module(), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


class Module:
    """The part of an AnsibleModule that the lock uses."""

    check_mode = False

    def fail_json(self, *, msg: str) -> None:
        raise SystemExit(msg)


def test_the_second_is_told_who_holds_it_and_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    module: Any = Module()
    what = str(tmp_path)
    words = [sys.executable, "-c", HOLD, str(REPO), what]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin is not None and holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        says = rf"another run .* works on {what} of this host: .* since .*, process {holder.pid}; wait"
        with pytest.raises(SystemExit, match=says), locked(module, what, timeout=0.2):
            pass
        with locked(module, str(tmp_path / "other"), timeout=0.2):
            pass
        module.check_mode = True
        with locked(module, what, timeout=0.2):
            pass
        module.check_mode = False
    finally:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()

    def taken() -> bool:
        with locked(module, what, timeout=5):
            return True

    assert wait_until(taken)
