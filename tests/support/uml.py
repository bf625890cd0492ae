"""A kernel of its own for a test: User Mode Linux over this machine's files, with all controllers of control groups v2."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KERNEL = "linux.uml"
PACKAGE = "user-mode-linux"
WITHIN = 120.0  # seconds; a boot takes three

_INIT = """#!/bin/sh
exec 2>&1
mount -t proc proc /proc; mount -t sysfs sys /sys
for folder in /tmp /run; do mount -t tmpfs tmpfs $folder; done
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
mkdir /run/out && mount -t hostfs hostfs /run/out -o {out}
[ -d {checkout} ] || {{ mkdir -p {checkout} && mount -t hostfs hostfs {checkout} -o {checkout}; }}  # it may be in /tmp
cd {checkout}
export PATH={path} HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={checkout}:{checkout}/daemon
{command} >/run/out/stdout 2>/run/out/stderr
echo $? >/run/out/status
halt -f -p
"""


def run_in_kernel(folder: Path, command: list[str], *, within: float = WITHIN) -> list[dict[str, Any]]:
    """Boot, run ``command`` as root in the checkout for ``within`` seconds at most, and return the JSON objects that it
    printed, one a line. The files of this machine can be read; /tmp and /run are empty. Skip the test without the kernel."""
    kernel = shutil.which(KERNEL)
    if kernel is None:
        pytest.skip(f"needs Debian's package {PACKAGE}")
    checkout = Path(__file__).parents[2]
    out = folder / "out"
    out.mkdir()
    out.chmod(0o777)
    init = folder / "init"
    init.write_text(
        _INIT.format(out=out, checkout=checkout, path=shlex.quote(_path()), command=shlex.join(command)),
        encoding="utf-8",
    )
    init.chmod(0o755)
    options = ["mem=768M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}", "con=null"]
    done = subprocess.run(
        [kernel, *options, "con0=fd:0,fd:1", "quiet", f"uml_dir={folder}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=within,
        check=False,
        env={**os.environ, "TMPDIR": str(folder)},  # the kernel's memory is a file
    )
    status = _text(out / "status").strip()
    assert status == "0", f"{_text(out / 'stderr')}\n{_text(out / 'stdout')}\n{done.stdout.decode(errors='replace')}"
    return [json.loads(line) for line in _text(out / "stdout").splitlines()]


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
