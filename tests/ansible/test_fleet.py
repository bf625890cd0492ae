"""The playbooks that keep a cluster running: drain, status, collect-logs, remove-worker, uninstall."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from plugins.modules.stoker_logs import redacted
from plugins.modules.stoker_uninstall import _running as running
from tests.ansible.test_playbooks import Site, changed, site  # noqa: F401 - a fixture
from tests.support.processes import alive
from tests.support.wait import wait_until

pytestmark = [pytest.mark.ansible, pytest.mark.timeout(300)]


def workers(here: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(here.stoker("status", "--json").stdout)["workers"]
    return found


def fails(here: Site, name: str, *words: str) -> str:
    done = here.play(name, *words, check=False)
    assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_drain_waits_and_shows_what_is_left_and_undrain_ends_it(site: Site) -> None:  # noqa: F811
    site.play("start-all")
    job = site.stoker("submit", "/bin/sleep", "600").stdout.strip()
    assert changed(site.play("drain", "--check", "-e", "worker=localhost")) == 1
    assert [worker["draining"] for worker in workers(site)] == [False]
    said = fails(site, "drain", "-e", "worker=localhost", "-e", "wait_timeout=1")
    assert "1 still running" in said and "still running after 1 s" in said
    site.stoker("kill", job)
    assert changed(site.play("drain", "-e", "worker=localhost")) == 0
    assert [worker["draining"] for worker in workers(site)] == [True]
    assert "'soon' is not a duration" in fails(site, "drain", "-e", "worker=localhost", "-e", "deadline=soon")
    terms = ("-e", "worker=localhost", "-e", "reason='new disk'")
    assert changed(site.play("drain", *terms, "-e", "deadline=2h")) == 1
    assert workers(site)[0]["drain_reason"] == "new disk"
    assert 7000 < workers(site)[0]["drain_until"] - time.time() <= 7200
    assert changed(site.play("drain", *terms)) == 0, "the same reason is no change"
    assert changed(site.play("undrain", "-e", "worker=localhost")) == 1
    assert changed(site.play("undrain", "-e", "worker=localhost")) == 0
    assert "there is no worker nowhere; those known are on localhost" in fails(site, "drain", "-e", "worker=nowhere")
    assert "say which" in fails(site, "drain")


def test_status_and_logs_also_without_a_master(site: Site) -> None:  # noqa: F811
    secret = "hunter2"
    site.write(defaults={"spark.authenticate.secret": secret, "spark.worker.timeout": "30s"})
    site.play("start-all")
    job = site.stoker("submit", "/bin/sh", "-c", "sleep 600", secret).stdout.strip()
    wait_until(lambda: workers(site)[0]["running"] == 1, what=f"{job} runs")
    shown = site.play("status").stdout
    assert "ALIVE (leader)" in shown and "1 workers alive, 1 drivers" in shown
    assert all(re.search(rf"^localhost +{name} +running ", shown, re.MULTILINE) for name in ("master", "worker-1")), (
        shown
    )

    into = site.home / "collected"
    site.play("collect-logs", "-e", f"dest={into}")
    texts = {str(path.relative_to(into)): path.read_text() for path in into.rglob("*") if path.is_file()}
    assert "registered worker-" in texts["localhost/log/stoker-master.log"]
    assert json.loads(texts["localhost/cluster.json"])["active_drivers"][0]["id"] == job
    assert "spark.worker.timeout" in texts["localhost/conf/spark-defaults.conf"]
    assert not [name for name, text in texts.items() if secret in text]
    assert not [name for name in texts if "key" in name]

    os.kill(site.pid("master"), signal.SIGKILL)
    down = fails(site, "status")
    assert "No master answers" in down and "failed" in down


def test_a_running_daemon_is_not_uninstalled(site: Site, tmp_path: Path) -> None:  # noqa: F811
    site.play("start-all")
    assert running(str(site.home / "state" / "run")) in ("stoker-master", "stoker-worker-1")
    site.play("stop-all")
    assert running(str(site.home / "state" / "run")) == ""


def test_remove_worker_and_uninstall(site: Site) -> None:  # noqa: F811
    away = site.home / "away"  # folders that operators choose
    chosen: dict[str, object] = {
        "spark.stoker.upload.directory": f"{away}/uploads",
        "spark.stoker.audit.file": f"{away}/audit/stoker.log",
    }
    site.write(spark_env={"SPARK_LOCAL_DIRS": f"{away}/scratch1,{away}/scratch2"}, defaults=chosen)
    (away / "audit").mkdir(parents=True)
    site.play("start-all", "-e", '{"stoker_common_secrets": {"spark": "hush"}}')
    assert (site.home / "conf" / "secrets" / "spark").exists()
    job = site.stoker("submit", "/bin/sleep", "600").stdout.strip()
    wait_until(lambda: workers(site)[0]["running"] == 1, what=f"{job} runs")
    assert "say which" in fails(site, "remove-worker", "-e", "worker=nowhere")
    assert "still running after 1 s" in fails(site, "remove-worker", "-e", "worker=localhost", "-e", "wait_timeout=1")
    pid = site.pid("worker-1")
    assert alive(pid)
    site.play("remove-worker", "-e", "worker=localhost", "-e", "force=true")
    assert not alive(pid) and workers(site) == []

    assert "say -e confirm=yes" in fails(site, "uninstall")
    (site.home / "conf" / "mine").write_text("an operator's own")
    (site.home / "conf" / "users.yml").write_text("principals:\n  ada: alovelace\n")
    (away / "audit" / "stoker.log.1").write_text("what logrotate renamed")
    for scratch in ("scratch1", "scratch2"):
        (away / scratch / "stoker-app-20260101000000-0001").mkdir(
            parents=True, exist_ok=True
        )  # of a host that lost power
    (away / "scratch1" / "mine").write_text("an operator's own")
    assert len(list((away / "uploads").iterdir())) == 1
    site.play("uninstall", "-e", "confirm=yes")
    assert (site.home / "state" / "work" / job / "stdout").exists() and (site.home / "conf" / "users.yml").exists()
    site.play("uninstall", "-e", "confirm=yes", "-e", "purge=true")
    left = {str(path.relative_to(site.home)) for path in site.home.rglob("*")}
    assert {name for name in left if name.startswith(("conf", "state", "away"))} == {
        "conf", "conf/mine", "away", "away/scratch1", "away/scratch1/mine",
    }  # fmt: skip


def test_secrets_are_left_out_of_settings() -> None:
    text = """export SPARK_MASTER_OPTS='-Dspark.authenticate.secret=abc -Dx=1'
SPARK_AUTH_TOKEN=abc
spark.authenticate.secret abc
spark.hadoop.fs.s3a.access.key=abc
spark.worker.timeout 30s
"""
    shown = redacted(text)
    assert "abc" not in shown and shown.count("(left out)") == 4
    assert "-Dx=1" in shown and "spark.worker.timeout 30s" in shown
