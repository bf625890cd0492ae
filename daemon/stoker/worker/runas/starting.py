"""The daemon's end of the starter: have it started, give up all capabilities, ask it for a keeper."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from stoker.worker.runas.capabilities import NEEDED, permitted, restrict
from stoker.worker.runas.starter import STARTED

_WITHIN = 30.0  # seconds


class Starter:
    """What the daemon asks for keepers."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        channel.settimeout(_WITHIN)

    @classmethod
    def begin(cls, conf_dir: Path) -> Starter | None:
        """Start one, if this process has the capabilities for it; None otherwise. After that, this process has no capability.
        The first thing that a worker does. Raises OSError."""
        if os.geteuid() == 0:  # it may do anything anyway
            return None
        found = permitted()
        starter = cls._start(conf_dir) if found >= NEEDED else None
        if found:
            restrict(frozenset(), effective=frozenset())
        return starter

    @classmethod
    def _start(cls, conf_dir: Path) -> Starter:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        rooms = Path(__file__).parents[1]
        with theirs:
            words = [
                f"--channel={theirs.fileno()}",
                f"--keeper={rooms / 'keeper' / 'keeper.py'}",
                f"--conf-dir={conf_dir}",
            ]
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(rooms / "runas" / "starter.py"), *words],
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                start_new_session=True,
                pass_fds=[theirs.fileno()],
            )
        process.returncode = 0  # it ends with this process; nobody waits for it
        return cls(ours)

    def start(self, options: Mapping[str, str], listener: int, log: int) -> None:
        """Have a keeper started on two open descriptors. Raises OSError."""
        socket.send_fds(self._channel, [json.dumps(dict(options)).encode()], [listener, log])
        answer = self._channel.recv(4096)
        if answer != STARTED:
            raise OSError(0, answer.decode(errors="replace") or "the starter of keepers has ended: restart the worker")
