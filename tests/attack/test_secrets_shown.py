"""A viewer, or another unix user, must not read the secrets of a job, neither where its command is shown nor in files."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster

pytestmark = pytest.mark.cluster
PROGRAM = "import os, sys\nassert sys.argv[2] == os.environ['DB_PASSWORD'] == 'hush-7'\nprint('worked')\n"


@pytest.fixture
def open_umask() -> Iterator[None]:
    old = os.umask(0o022)
    yield
    os.umask(old)


@pytest.mark.usefixtures("open_umask")
def test_a_secret_is_shown_nowhere_and_other_users_read_no_file(tmp_path: Path) -> None:
    with Cluster(tmp_path, properties={"spark.stoker.log.mode": "0600"}) as cluster:
        script = cluster.script("job.py", PROGRAM)
        words = ("submit", "--env", "DB_PASSWORD", script, "--password", "hush-7", "-Dsome.token=hush-7")
        done = cluster.cli(*words, env={"DB_PASSWORD": "hush-7"})
        job = done.stdout.strip()
        cluster.wait_for(job, "FINISHED")
        read = [cluster.cli("status", job).stdout, cluster.cli("status", "--json", job).stdout]
        for path in ("/", "/json/", f"/driver/?driverId={job}", f"/api/v1/drivers/{job}"):
            with urllib.request.urlopen(f"http://127.0.0.1:{cluster.webui_port}{path}", timeout=10) as answer:
                read.append(answer.read().decode())
        read += [cluster.master.text(), cluster.worker[0].text()]
        outputs = [path for path in cluster.work.rglob("*") if path.name in ("stdout", "stderr")]
        read += [path.read_text() for path in outputs]
        logs = [cluster.master.log, cluster.worker[0].log, *outputs]
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in logs}
    assert "worked" in "".join(read)
    assert [text for text in read if "hush-7" in text] == []
    assert len(outputs) == 2
    assert set(modes.values()) == {"0o600"}, modes


@pytest.mark.usefixtures("open_umask")
def test_the_group_may_read_log_files_by_default(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        mode = cluster.worker[0].log.stat().st_mode & 0o777
    assert oct(mode) == "0o640"
