"""The hour of samples behind the charts."""

from __future__ import annotations

from stoker.core.master.books import Books
from stoker.core.master.history import INTERVAL, KEPT, Samples, take_sample
from stoker.core.model.views import Sample


def test_an_hour_is_kept_and_what_was_read_stays_as_it_was() -> None:
    history = Samples()
    nothing = take_sample(Books(), 0.0)
    assert nothing == Sample(
        at=0.0, workers=0, cores=0, cores_used=0, memory_mib=0, memory_used_mib=0,
        drivers=0, drivers_waiting=0, apps=0, apps_waiting=0,
    )  # fmt: skip
    for number in range(KEPT):
        history.add(take_sample(Books(), number * INTERVAL))
    read = history.samples
    history.add(take_sample(Books(), KEPT * INTERVAL))
    assert KEPT * INTERVAL == 3600
    assert len(read) == len(history.samples) == KEPT
    assert (read[0].at, history.samples[0].at, history.samples[-1].at) == (0.0, INTERVAL, 3600.0)
