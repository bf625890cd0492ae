"""What docs/monitoring ships: valid, firing when it should, and about metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from stoker.web.master import make_app as master_app
from stoker.web.worker import make_app as worker_app
from tests.support.web import Control, cluster_view, worker_page

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
ALERTS = FOLDER / "alerts.yml"
CASES = Path(__file__).parent / "alerts_test.yml"


def promtool(*words: str, cwd: Path = FOLDER) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=100, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


def of_alerts() -> list[str]:
    return [rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def of_panels() -> list[str]:
    panels = json.loads((FOLDER / "grafana-dashboard.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def names(expressions: list[str]) -> set[str]:
    """The metrics asked for; a histogram by its name."""
    found = {name for one in expressions for name in re.findall(r"\bstoker_\w+", one)}
    return {name.removesuffix("_bucket") for name in found}


def metrics_of_daemons() -> str:
    text = master_app(cluster_view, Control()).test_client().get("/metrics/prometheus").text
    return text + worker_app(worker_page, Control().read_log).test_client().get("/metrics/prometheus").text


def test_rules_are_valid() -> None:
    promtool("check", "rules", "alerts.yml")


def test_scrape_jobs_are_valid() -> None:
    promtool("check", "config", "prometheus.yml")


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    for path in (ALERTS, CASES):
        shutil.copy(path, tmp_path)
    promtool("test", "rules", CASES.name, cwd=tmp_path)


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    rules = {rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]}
    cases = yaml.safe_load(CASES.read_text())["tests"]
    for fires in (True, False):
        found = {
            one["alertname"] for test in cases for one in test["alert_rule_test"] if bool(one["exp_alerts"]) is fires
        }
        assert found == rules, f"fires: {fires}"


def test_only_metrics_that_exist_are_asked_for() -> None:
    text = metrics_of_daemons()
    known = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) | {"up"}
    known |= set(re.findall(r"^(\w+_bucket)\{", text, re.MULTILINE))
    asked = {
        name for expr in of_alerts() + of_panels() for name in re.findall(r"\b(?:stoker|process)_\w+|\bup\b", expr)
    }
    assert asked <= known, asked - known
    assert len(asked) > 10


def test_what_an_alert_is_about_and_all_that_is_counted_has_a_panel() -> None:
    text = metrics_of_daemons()
    counted = set(re.findall(r"^# TYPE (stoker_\w+) (?:counter|histogram)", text, re.MULTILINE))
    assert len(counted) > 15
    assert names(of_alerts()) | counted <= names(of_panels()), (names(of_alerts()) | counted) - names(of_panels())


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = json.loads((FOLDER / "grafana-dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
