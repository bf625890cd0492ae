"""Start a Dask scheduler and two one-thread workers by their own commands, and print the seconds of this cold start.

Then answer the lines ``latency N`` and ``rate N``; tasks start the processes, because Dask has no jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client

BIN = os.path.dirname(sys.executable)
LOCAL = ["--host", "127.0.0.1"]


def spawn(log: IO[bytes], *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([f"{BIN}/dask", *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def clock(_: int) -> float:
    return float(subprocess.run(["/usr/bin/date", "+%s.%N"], stdout=subprocess.PIPE, check=True).stdout)


def true(_: int) -> int:
    return subprocess.run(["/usr/bin/true"], check=True).returncode


def ask(client: Client, name: str, count: int) -> object:
    if name == "latency":
        found = []
        for number in range(count):
            start = time.time()
            found.append(client.submit(clock, number, pure=False).result() - start)
        return found
    start = time.monotonic()
    client.gather(client.map(true, range(count), pure=False))
    return {"finished": count / (time.monotonic() - start)}


def main() -> None:
    port = sys.argv[1]
    address = f"tcp://127.0.0.1:{port}"
    start = time.monotonic()
    with open("log", "wb") as log:
        processes = [spawn(log, "scheduler", *LOCAL, "--port", port, "--no-dashboard")]
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "1GiB"]
        processes += [spawn(log, "worker", address, *LOCAL, *options) for _ in range(2)]
    try:
        while open("log").read().count("Register worker addr") < 2:  # noqa: SIM115
            assert time.monotonic() < start + 60, "the workers did not register"
            time.sleep(0.002)
        print(json.dumps(time.monotonic() - start), flush=True)
        if len(sys.argv) == 2:
            serve(address)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def serve(address: str) -> None:
    from distributed import Client

    client = Client(address)
    ask(client, "rate", 10)
    for line in sys.stdin:
        name, count = line.split()
        print(json.dumps(ask(client, name, int(count))), flush=True)
    client.close()


main()
