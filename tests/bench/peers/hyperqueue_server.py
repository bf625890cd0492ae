"""Run a HyperQueue server and two one-core workers in one process, as its package on PyPI does. Prints the server's
directory, and ends when its stdin is closed."""

import json
import os
import sys

from hyperqueue.cluster import LocalCluster, WorkerConfig

directory = os.path.abspath("server")
cluster = LocalCluster(directory)
for _ in range(2):
    cluster.start_worker(WorkerConfig(cores=1))
print(json.dumps(directory), flush=True)
sys.stdin.read()
