"""A HyperQueue server and two workers of one core, in one process as its package on PyPI has them. Prints its
directory; ends with its stdin."""

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
