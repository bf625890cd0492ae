"""Reservations in words, from a view of the cluster: which worker is kept for whom, since when and until when."""

from __future__ import annotations

import math
from datetime import datetime, timezone

from stoker.core.model.resources import Amounts
from stoker.core.model.views import AppView, ClusterView, DriverView, PlaceView, ReservationView


class Reserved:
    """The reservations of a cluster. Times in words are UTC and say so: pages and commands show them in the reader's zone."""

    def __init__(self, cluster: ClusterView) -> None:
        # The time of the view, as far as it shows one.
        self._now = max(
            *(worker.last_heartbeat for worker in cluster.workers),
            *(made.since for made in cluster.reservations),
            0.0,
            0.0,
        )
        self._of = {made.job_id: made for made in cluster.reservations}
        self._at = {place.worker_id: (made, place) for made in cluster.reservations for place in made.places}

    def refusal(
        self, worker_id: str, job: DriverView | AppView, cores: int, memory_mib: int, resources: Amounts
    ) -> str:
        """Return for whom the worker is reserved, if that keeps the job from its free room; "" if not."""
        place = self.kept_from(worker_id, job)
        if place is None or _has_spare(place, cores, memory_mib, resources):
            return ""
        made, _ = self._at[worker_id]
        return f"reserved for {made.job_id} since {_clock(made.since)}"

    def kept_from(self, worker_id: str, job: DriverView | AppView) -> PlaceView | None:
        """Return the reserved place on the worker, if the job may only have what that leaves over."""
        made, place = self._at.get(worker_id, (None, None))
        if made is None or made.job_id == job.id or (made.until and 0 < job.time_limit <= made.until - self._now):
            return None
        return place

    def for_job(self, job_id: str) -> str:
        """Return where room is reserved for the job, and until when it is free; "" if none is."""
        made = self._of.get(job_id)
        return _place_words(made) if made is not None else ""


def _place_words(made: ReservationView) -> str:
    first, *more = [place.worker_id for place in made.places]
    where = f"{first} and {len(more)} more" if more else first
    until = f", free by {_clock(math.ceil(made.until / 60) * 60)} at the latest" if made.until else ""
    return f"reserved on {where}{until}"


def _has_spare(place: PlaceView, cores: int, memory_mib: int, resources: Amounts) -> bool:
    spare = dict(place.spare_resources)
    enough = all(spare.get(name, 0) >= amount for name, amount in resources)
    return enough and place.spare_cores >= cores and place.spare_memory_mib >= memory_mib


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
