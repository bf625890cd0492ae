"""Uploads go only to workers where a driver that needs them is placed."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.core.master.vouching import may_fetch
from stoker.core.model.messages import BlobData, FetchBlob, LaunchDriver
from stoker.core.model.states import DriverState, Role
from stoker.core.model.values import Artifact
from stoker.security.keys import Keys
from stoker.wire import codec
from tests.support.cluster import Cluster
from tests.support.core import Bench
from tests.support.net import Net


def test_a_worker_fetches_only_uploads_of_drivers_that_are_placed_there() -> None:
    bench = Bench(secret=b"of the masters")
    bench.worker("w1")
    bench.worker("w2")
    bench.submit(artifacts=(Artifact(name="job", sha256="ab" * 32, size=3),))
    ((own, launch),) = [(peer, sent) for peer in ("w1", "w2") for sent in bench.take_all(peer, LaunchDriver)]
    other = "w2" if own == "w1" else "w1"

    def fetches(peer: str, sha256: str = "ab" * 32) -> bool:
        return may_fetch(bench.core.ctx.books, peer.encode(), sha256)

    assert [fetches(peer) for peer in (own, other, "c1", "w3")] == [True, False, False, False]
    assert not fetches(own, "cd" * 32)
    bench.driver_is(own, launch, DriverState.FINISHED, code=0)
    assert not fetches(own)


@pytest.mark.cluster
def test_another_worker_is_refused_an_upload_that_it_can_name(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    with Cluster(tmp_path / "cluster") as cluster:
        job = tmp_path / "job.py"
        job.write_text("print('done')\n")
        assert cluster.cli("submit", "--wait", str(job)).returncode == 0
        (stored,) = cluster.state.glob("master-*/blobs/*")
        net = Net(tmp_path, authenticate=False)
        try:
            keys = Keys.open(cluster.home / "conf" / "keys", create=None)
            address = cluster.url.removeprefix("spark://")
            worker = net.opened(Role.WORKER, "w2", address=address, keys=keys, decoder=codec.to_worker)
            worker.ask(FetchBlob(request=1, sha256=stored.name, offset=0, limit=100))
            net.until(lambda: any(isinstance(item, BlobData) for item in worker.heard))
        finally:
            net.close()
    (answer,) = [item for item in worker.heard if isinstance(item, BlobData)]
    assert answer.data == b"" and answer.error == "no driver that is placed on this worker needs this upload"
