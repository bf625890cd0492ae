"""A standby's metrics: no cluster, and the counters of the time when this process led."""

from __future__ import annotations

from stoker.core.model.counts import Tally
from stoker.core.model.states import MasterState
from stoker.core.model.views import ClusterView
from stoker.master.standby import StandbyDashboard
from stoker.web.master import make_app


def metrics(tally: Tally | None) -> str:
    view = ClusterView(url="spark://h:7077", state=MasterState.STANDBY, epoch=0, version="1")
    dashboard = StandbyDashboard(lambda: view, tally)
    return make_app(dashboard.snapshot, dashboard).test_client().get("/metrics/prometheus").get_data(as_text=True)


def test_a_deposed_master_keeps_its_counters() -> None:
    tally = Tally()
    tally.drivers_submitted = 3
    tally.driver_wait.observe(2.0)
    text = metrics(tally)
    assert 'stoker_master_state{state="STANDBY"} 1.0' in text and "stoker_cores 0.0" in text
    assert "stoker_drivers_submitted_total 3.0" in text
    assert "stoker_driver_queue_seconds_count 1.0" in text


def test_a_process_that_never_led_begins_at_zero() -> None:
    assert "stoker_drivers_submitted_total 0.0" in metrics(None)
