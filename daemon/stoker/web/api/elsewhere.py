"""The interfaces for programs that are not below ``/api/v1``, for the OpenAPI document: their routes are in other modules."""

from __future__ import annotations

from stoker.security.roles import AccessRole
from stoker.web.api.declare import Api, Operation
from stoker.web.api.model import Health

JSON, TEXT = "application/json", "text/plain"


def mention_others(api: Api) -> None:
    def mention(path: str, summary: str, answer: str | type[Health], role: AccessRole = AccessRole.VIEWER) -> None:
        api.mention(Operation("GET", path, summary, role, answer, base="", errors=(404,) if "{" in path else ()))

    mention("/healthz", "200: the daemon answers", Health, AccessRole.NONE)
    mention("/readyz", "200: this master accepts submissions; 503: it does not", Health, AccessRole.NONE)
    mention("/json/", "The cluster, under Spark's names", JSON)
    mention("/json/clusterutilization/", "The use of cores and memory in percent, under Spark's names", JSON)
    mention("/json/{field}/", "One field of /json/", JSON)
    mention("/metrics/prometheus", "Metrics of this master, and those under Spark's names", TEXT)
    for kind in ("master", "applications"):
        mention(f"/metrics/{kind}/prometheus", f"Spark's metrics of the kind '{kind}'", TEXT)
        mention(f"/metrics/{kind}/json", f"Spark's metrics of the kind '{kind}', as its servlet prints them", JSON)
