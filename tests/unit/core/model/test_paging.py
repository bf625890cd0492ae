"""The status of a large cluster in pages: all rows, each once, as of one moment, and no page too large to be sent."""

from __future__ import annotations

from stoker.core.model.messages import Failed, GetStatus, Status
from stoker.core.model.pages import paging
from stoker.core.model.pages.paging import MOST_READ, Paging, joined
from stoker.core.model.states import DriverState, MasterState, WorkerState
from stoker.core.model.views import ClusterView, DriverView, WorkerView
from stoker.wire import codec


def driver(number: int, **more: object) -> DriverView:
    fields = {
        "id": f"driver-20270101000000-{number:04d}", "name": "job", "state": DriverState.SUBMITTED, "submitted": 1.0,
        "cores": 1, "memory_mib": 512, "main": "job.py", **more,
    }  # fmt: skip
    return DriverView(**fields)  # type: ignore[arg-type]


def worker(number: int) -> WorkerView:
    return WorkerView(
        id=f"worker-{number}", host="h", port=number, state=WorkerState.ALIVE, cores=1, cores_used=0, memory_mib=1,
        memory_used_mib=0,
    )  # fmt: skip


def cluster(drivers: int = 0, workers: int = 0, ended: int = 0, **more: object) -> ClusterView:
    return ClusterView(
        url="spark://h:7077",
        state=MasterState.ALIVE,
        epoch=3,
        version="0.2.0",
        workers=tuple(map(worker, range(workers))),
        active_drivers=tuple(driver(number, **more) for number in range(drivers)),
        completed_drivers=tuple(driver(drivers + number) for number in range(ended)),
        warnings=("a warning",),
    )


def read(pages: Paging, view: ClusterView, rows: int, peer: bytes = b"c1") -> list[ClusterView]:
    found: list[ClusterView] = []
    page = ""
    while page or not found:
        answer = pages.answer(peer, GetStatus(request=1, rows=rows, page=page), lambda: view)
        assert isinstance(answer, Status) and answer.cluster is not None
        found.append(answer.cluster)
        page = answer.next
    return found


def test_all_rows_come_once_and_in_order() -> None:
    view = cluster(drivers=7, workers=5, ended=3)
    for rows in (1, 2, 5, 12, 15, 16, 10**15):
        assert joined(read(Paging(3), view, rows)) == view
    assert [len(page.workers) for page in read(Paging(3), view, 4)] == [4, 1, 0, 0]
    assert read(Paging(3), cluster(), 10) == [cluster()]


def test_who_does_not_ask_for_pages_gets_all() -> None:
    """A client of release 0.1.0."""
    view = cluster(drivers=7)
    for rows in (0, -1):
        answer = Paging(1).answer(b"c1", GetStatus(request=1, rows=rows), lambda: view)
        assert answer == Status(request=1, cluster=view)


def test_all_pages_show_one_moment() -> None:
    before, after, pages = cluster(drivers=4), cluster(ended=4), Paging(1)
    first = pages.answer(b"c1", GetStatus(request=1, rows=3), lambda: before)
    assert isinstance(first, Status) and first.cluster is not None
    second = pages.answer(b"c1", GetStatus(request=2, rows=3, page=first.next), lambda: after)
    assert isinstance(second, Status) and second.cluster is not None
    assert joined([first.cluster, second.cluster]) == before and not second.next


def test_a_page_that_is_not_being_read_is_refused() -> None:
    pages, view = Paging(1), cluster(drivers=9)
    first = pages.answer(b"c1", GetStatus(request=1, rows=3), lambda: view)
    assert isinstance(first, Status)
    others = ("x", "/", "1/1/x", "1/2/3", "2/1/3", "1/1/" + "9" * 5000, "1/1/-3", "1/1/\u0663x")
    for peer, page in [(b"c2", first.next), *((b"c1", other) for other in others)]:
        answer = pages.answer(peer, GetStatus(request=2, rows=3, page=page), lambda: view)
        assert isinstance(answer, Failed) and answer.code == "not-found"
    pages.forget(b"c1")
    assert isinstance(pages.answer(b"c1", GetStatus(request=2, rows=3, page=first.next), lambda: view), Failed)


def test_few_views_are_held() -> None:
    pages, view = Paging(1), cluster(drivers=9)
    for number in range(3 * MOST_READ):
        pages.answer(b"c%d" % number, GetStatus(request=1, rows=3), lambda: view)
        read(pages, view, 3, b"other")  # to its end: nothing of it stays
    assert MOST_READ - 1 <= len(pages._read) <= MOST_READ


def test_a_page_of_large_rows_is_shorter() -> None:
    view = cluster(drivers=100, args=("x" * 250_000,))
    found = read(Paging(1), view, 5000)
    assert joined(found) == view
    assert len(found) > 2
    assert max(len(codec.encode(Status(request=1, cluster=page))[1]) for page in found) < paging.PAGE_BYTES + 1000


def test_a_hundred_thousand_jobs() -> None:
    """In one message they are too large; in pages they take well under a second to make."""
    view = cluster(drivers=100_000, args=("--input", "s3://bucket/" + "x" * 200))
    found = read(Paging(1), view, 5000)
    assert len(found) == 20 and joined(found) == view
