"""Read the status of the cluster, however large it is."""

from __future__ import annotations

from stoker.client.session.session import Session
from stoker.core.model.messages import GetStatus, Status
from stoker.core.model.pages.paging import joined
from stoker.core.model.views import ClusterView
from stoker.errors import NotFound, ProtocolError

ROWS = 5000  # of a page
TRIES = 3


def read_cluster(session: Session) -> ClusterView:
    """Ask the leading master for the cluster, page by page. If another master leads meanwhile, start again. A master of an
    earlier release answers with all of it at once."""
    for _ in range(TRIES - 1):
        try:
            return _read(session)
        except NotFound:
            continue
    return _read(session)


def _read(session: Session) -> ClusterView:
    pages: list[ClusterView] = []
    page = ""
    while page or not pages:
        answer = session.call(GetStatus(request=0, rows=ROWS, page=page))
        if not isinstance(answer, Status) or answer.cluster is None:
            raise ProtocolError("the master answered a question about the cluster with something else")
        pages.append(answer.cluster)
        page = answer.next
    return pages[0] if len(pages) == 1 else joined(pages)
