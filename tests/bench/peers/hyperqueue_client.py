"""``hyperqueue_client.py SERVER_DIRECTORY``: answer the lines ``rate N`` and ``latency N``."""

from __future__ import annotations

import json
import os
import sys
import time

from hyperqueue import Client, Job


def job(*argv: str, stdout: str | None = None) -> Job:
    made = Job()
    made.program(list(argv), stdout=stdout, stderr=None)
    return made


def rate(client: Client, count: int) -> dict[str, float]:
    """Return submitted and finished jobs per second; each job is one process without output files."""
    start = time.monotonic()
    ids = [client.submit(job("/usr/bin/true")) for _ in range(count)]
    submitted = time.monotonic()
    client.wait_for_jobs(ids)
    return {"accepted": count / (submitted - start), "finished": count / (time.monotonic() - start)}


def latency(client: Client, count: int) -> list[float]:
    """Return the seconds from the call to the clock of the started program."""
    found = []
    for number in range(count):
        path = os.path.abspath(f"clock-{number}")
        made = job("/usr/bin/date", "+%s.%N", stdout=path)
        start = time.time()
        client.wait_for_jobs([client.submit(made)])
        with open(path) as file:
            found.append(float(file.read()) - start)
    return found


def main() -> None:
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - its progress bar
    client = Client(sys.argv[1])
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, count = line.split()
        print(json.dumps({"rate": rate, "latency": latency}[name](client, int(count))), flush=True)


main()
