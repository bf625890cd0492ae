"""A cluster on IPv6: at an address, and at a name that has no other address. Commands take the addresses they show."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.net import has_ipv6

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


def use(cluster: Cluster) -> None:
    """Everything by the addresses that the commands show."""
    ran = cluster.cli("submit", "--wait", "/bin/sh", "-c", "echo it ran")
    assert (ran.returncode, ran.stdout) == (0, "it ran\n"), ran.stderr
    found = re.search(r"(worker-\S+) +(\S+) +ALIVE", cluster.cli("status").stdout)
    assert found is not None
    worker_id, address = found.groups()
    drained = cluster.cli("drain", address)
    assert "draining" in drained.stdout, drained.stderr
    hint = re.search(r"'stoker (undrain \S+)' changes that", cluster.cli("status", worker_id).stdout)
    assert hint is not None and hint.group(1) == f"undrain {address}"
    undrained = cluster.cli(*hint.group(1).split())
    assert undrained.returncode == 0 and "draining" not in undrained.stdout, undrained.stderr
    assert cluster.cli("drain", cluster.host, worker_id).returncode == 0


@contextlib.contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """An HTTP server's address, on IPv6."""

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    with Server(("::1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"[::1]:{server.server_port}"
        server.shutdown()


def test_a_cluster_at_an_address(tmp_path: Path) -> None:
    with Cluster(tmp_path, host="::1") as cluster:
        use(cluster)
        for name in ("[::1]", "0:0:0:0:0:0:0:1"):
            assert cluster.cli("undrain", name).returncode == 0
        seen = cluster.cli("doctor", "[::1]").stdout
        assert (
            f"worker [::1]:{cluster.status()['workers'][0]['port']} accepts connections" in seen
            and "unknown" not in seen
        )
        with serving_files(tmp_path) as address:
            script = cluster.script("job::1.sh", "#!/bin/sh\necho fetched\n")
            fetched = cluster.cli("submit", "--wait", f"http://{address}/{Path(script).name}")
            assert (fetched.returncode, fetched.stdout) == (0, "fetched\n"), fetched.stderr
        unknown = cluster.cli("undrain", "::2")
        assert unknown.returncode == 1 and "'::2'" in unknown.stderr


# The test needs a name of its own, so it runs where /etc/hosts is another file.
NAMED = """
import sys
from pathlib import Path
from tests.integration.test_ipv6 import use
from tests.support.cluster import Cluster
with Cluster(Path(sys.argv[1]), host="only-six") as cluster:
    use(cluster)
print("used")
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, and unshare of util-linux")
def test_a_cluster_at_a_name_without_an_ipv4_address(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n::1 only-six\n")
    command = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    result = subprocess.run(
        ["unshare", "-m", "sh", "-c", command, "sh", sys.executable, "-c", NAMED, str(tmp_path / "cluster")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.stdout.endswith("used\n"), result.stdout + result.stderr
