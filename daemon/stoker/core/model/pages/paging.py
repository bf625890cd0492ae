"""The status of a large cluster, in pages: a message has a largest size, and a cluster has not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from stoker.core.model.messages import Failed, GetStatus, Status
from stoker.core.model.views import ClusterView

PAGE_BYTES = 8 * 2**20  # of an answer, unless one row has more
MOST_READ = 100  # views of the cluster that are read in pages at a time
_encoder = msgspec.msgpack.Encoder()
LISTS = ("workers", "active_drivers", "completed_drivers", "active_apps", "completed_apps")  # of a ClusterView


def rows_of(view: ClusterView, start: int, stop: int) -> ClusterView:
    """Return the view with rows ``start`` to ``stop`` of its lists, counted through all of them."""
    parts: dict[str, tuple[Any, ...]] = {}
    for name in LISTS:
        rows = getattr(view, name)
        parts[name] = rows[max(0, start) : max(0, stop)]
        start, stop = start - len(rows), stop - len(rows)
    return msgspec.structs.replace(view, **parts)


def joined(pages: Iterable[ClusterView]) -> ClusterView:
    """Return the view that was sent in these pages, of which there is one at least."""
    pages = list(pages)
    lists = {name: tuple(row for page in pages for row in getattr(page, name)) for name in LISTS}
    return msgspec.structs.replace(pages[0], **lists)


class Paging:
    """Views of the cluster that connections are reading in pages, one of each connection, the oldest first. A view is
    immutable, so all its pages show the cluster at one time, and holding it costs little."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._serial = 0
        self._read: dict[bytes, tuple[str, ClusterView]] = {}  # connection -> the name of its view, and that

    def answer(self, peer: bytes, message: GetStatus, view: Callable[[], ClusterView]) -> Status | Failed:
        """Answer a question about the cluster, which ``view`` shows as it is now."""
        if message.rows <= 0:
            return Status(request=message.request, cluster=view())
        if message.page:
            name, _, number = message.page.rpartition("/")
            held = self._read.get(peer)
            if held is None or held[0] != name or not number.isdecimal() or len(number) > 18:
                reason = "this list is not being read now: ask for its first page again"
                return Failed(request=message.request, reason=reason, code="not-found")
            return self._page(peer, message, *held, int(number))
        self._serial += 1
        return self._page(peer, message, f"{self._epoch}/{self._serial}", view(), 0)

    def _page(self, peer: bytes, message: GetStatus, name: str, view: ClusterView, start: int) -> Status:
        self._read.pop(peer, None)
        rows, size = message.rows, sum(len(getattr(view, of)) for of in LISTS)
        part = rows_of(view, start, start + rows)
        while rows > 1 and len(_encoder.encode(part)) > PAGE_BYTES:
            rows = min(rows, size) // 2
            part = rows_of(view, start, start + rows)
        if start + rows >= size:
            return Status(request=message.request, cluster=part)
        self._read[peer] = (name, view)
        if len(self._read) > MOST_READ:
            del self._read[next(iter(self._read))]
        return Status(request=message.request, cluster=part, next=f"{name}/{start + rows}")

    def forget(self, peer: bytes) -> None:
        """Forget what a connection that was closed has read."""
        self._read.pop(peer, None)
