"""Starts keepers that may become other accounts. It has the capabilities that the daemon has given up (ADR 31).

``stoker worker`` starts it with its first step as ``python -I -S starter.py``, if its unit gives it capabilities, and then
gives up its own. The starter ends with the daemon; keepers live on. The daemon may ask for a keeper and say where its journal
is, but not what the keeper may become: that is in the folder ``--conf-dir``, fixed before the daemon began. Standard library
only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
from typing import Any

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3)))  # noqa: PTH100, PTH118, PTH120

from stoker.worker.runas.capabilities import put_aside

OPTIONS = ("journal", "away", "silence", "grace", "release")
MOST = 64 * 1024  # bytes of a request
STARTED = b"started"


def serve(channel: socket.socket, keeper: str, conf_dir: str) -> None:
    """Start a keeper for each request, until the daemon has gone."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, MOST, 2)
        if not data:
            return
        try:
            _start(json.loads(data), descriptors, keeper, conf_dir)
            answer = STARTED
        except (OSError, ValueError, KeyError, TypeError) as error:
            answer = str(getattr(error, "strerror", None) or error).encode(errors="replace")[:1000] or b"?"
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        with contextlib.suppress(OSError):
            channel.send(answer)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _start(request: Any, descriptors: list[int], keeper: str, conf_dir: str) -> None:
    listener, log = descriptors
    words = [f"--{name}={request[name]}" for name in OPTIONS]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", keeper, *words, f"--listen={listener}", f"--accounts={conf_dir}"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=os.path.dirname(str(request["journal"])),  # noqa: PTH120
        start_new_session=True,
        pass_fds=[listener],
    )
    process.returncode = 0  # it outlives this process


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--keeper", required=True)
    parser.add_argument("--conf-dir", required=True)
    args = parser.parse_args()
    put_aside()
    channel = socket.socket(fileno=args.channel)
    channel.set_inheritable(False)
    serve(channel, args.keeper, args.conf_dir)


if __name__ == "__main__":
    main()
