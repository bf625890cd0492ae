"""``python -m tests.support.submitter LEDGER LOCKS SEED``: submits small drivers while its standard input is open, and
prints the id of each acknowledged one. Each driver writes to LEDGER when it starts, and holds its own lock in LOCKS while
it runs. It writes DOUBLE when another copy of it holds the lock."""

from __future__ import annotations

import argparse
import os
import random
import select
import sys

from stoker.client.api import Client
from stoker.config.client import client_config
from stoker.errors import StokerError

JOB = """
exec 9>"$2/$STOKER_DRIVER_ID"
flock --nonblock 9 || { echo "DOUBLE $STOKER_DRIVER_ID" >>"$1"; exit 1; }
echo "START $STOKER_DRIVER_ID $STOKER_ATTEMPT" >>"$1"
sleep "$3"
"""


def main() -> None:
    ledger, locks, seed = sys.argv[1:]
    rng = random.Random(int(seed))
    config = client_config(argparse.Namespace(master=os.environ["MASTER"]), os.environ)
    with Client(config=config, timeout=120) as client:
        while not select.select([sys.stdin], [], [], 0)[0]:
            seconds = 6.0 if rng.random() < 0.05 else rng.uniform(0, 0.3)  # a few long ones run during every fault
            words = ["-c", JOB, "job", ledger, locks, f"{seconds:.2f}"]
            driver = client.describe("/bin/sh", *words, memory=16, cores=1, supervise=rng.random() < 0.5)
            try:
                print(client.submit(driver), flush=True)
            except StokerError as error:
                print(f"refused: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
