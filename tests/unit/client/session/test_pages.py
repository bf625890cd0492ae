"""The status of the cluster as a client reads it, page by page, from masters of this and of the earlier release."""

from __future__ import annotations

from pathlib import Path

import pytest

from stoker.client.session import pages as pages_module
from stoker.client.session.pages import TRIES, read_cluster
from stoker.client.session.session import Session
from stoker.core.model.messages import Failed, GetStatus, Message, Status
from stoker.core.model.pages.paging import Paging
from stoker.core.model.views import ClusterView
from stoker.errors import NotFound
from tests.support.scripted_master import ScriptedMaster
from tests.unit.core.model.test_paging import cluster

VIEW = cluster(drivers=10, workers=3, ended=4)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "ROWS", 4)


def read(folder: Path, script: object) -> tuple[ClusterView, list[Message]]:
    with (
        ScriptedMaster(folder / "keys", script) as master,  # type: ignore[arg-type]
        Session(f"spark://{master.address}", keys=master.keys, name="c", timeout=20) as session,
    ):
        return read_cluster(session), master.seen


def test_pages_are_joined(tmp_path: Path) -> None:
    paging = Paging(1)

    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        assert isinstance(message, GetStatus)
        master.send(peer, paging.answer(peer, message, lambda: VIEW))

    view, seen = read(tmp_path, script)
    assert view == VIEW and len(seen) == 5


def test_a_master_of_release_0_1_0_sends_all_at_once(tmp_path: Path) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        master.send(peer, Status(request=message.request, cluster=VIEW))  # type: ignore[attr-defined]

    view, seen = read(tmp_path, script)
    assert view == VIEW and len(seen) == 1


@pytest.mark.parametrize("failures", [1, TRIES])
def test_it_starts_again_if_the_pages_are_gone(tmp_path: Path, failures: int) -> None:
    """Another master leads now. If that goes on, the last refusal is raised."""
    paging, left = Paging(1), [failures]

    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        assert isinstance(message, GetStatus)
        if message.page and left[0]:
            left[0] -= 1
            master.send(peer, Failed(request=message.request, reason="gone", code="not-found"))
        else:
            master.send(peer, paging.answer(peer, message, lambda: VIEW))

    if failures < TRIES:
        assert read(tmp_path, script)[0] == VIEW
    else:
        with pytest.raises(NotFound, match="gone"):
            read(tmp_path, script)
