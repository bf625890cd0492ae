"""Views as JSON, complete: on the wire fields with default values are left out, a script should find them all."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stoker.core.model.values import Value
from stoker.core.model.views import ClusterView, WorkerView, complete


def as_json(view: Value) -> str:
    """Indented; workers by state and address, all else by id. A cluster has ``live_workers`` too: how many of its workers
    count as live."""
    if isinstance(view, ClusterView):
        view = msgspec.structs.replace(
            view,
            workers=tuple(sorted(view.workers, key=lambda w: (not w.is_live, w.host, w.port))),
            active_drivers=tuple(sorted(view.active_drivers, key=lambda driver: driver.id)),
            completed_drivers=tuple(sorted(view.completed_drivers, key=lambda driver: driver.id)),
            active_apps=tuple(sorted(view.active_apps, key=lambda app: app.id)),
            completed_apps=tuple(sorted(view.completed_apps, key=lambda app: app.id)),
        )
    plain = complete(view)
    if isinstance(view, ClusterView):
        plain["live_workers"] = len(view.live_workers)
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()


def workers_as_json(views: Sequence[WorkerView]) -> str:
    """The workers alone, in the shape they have in the cluster's."""
    return msgspec.json.format(msgspec.json.encode({"workers": [complete(view) for view in views]}), indent=2).decode()
