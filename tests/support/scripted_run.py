"""``stoker run`` as a user types it, against a scripted master."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from stoker.core.model.messages import (
    Message,
)
from tests.support.scripted_master import (
    Script,
    polite,
)

HEADER = b'Spark Executor Command: "true"\n' + b"=" * 40 + b"\n\n"


def command(keys_dir: Path, master: str, *words: str) -> tuple[list[str], dict[str, str]]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "STOKER_", "MASTER"))}
    env |= {"STOKER_KEYS_DIR": str(keys_dir), "SPARK_CONF_DIR": str(keys_dir.parent), "SPARK_MARK": "forwarded"}
    return [sys.executable, "-m", "stoker", "run", "--master", f"spark://{master}", *words], env


def stoker_run(keys_dir: Path, master: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv, env = command(keys_dir, master, *words)
    done = subprocess.run(argv, env=env, capture_output=True, timeout=30, check=False)
    result = subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in result.stderr
    assert "internal error" not in result.stderr
    return result


def story(*messages: Message, texts: dict[tuple[int, str], bytes] | None = None) -> Script:
    return partial(polite, story=messages, texts=texts)
