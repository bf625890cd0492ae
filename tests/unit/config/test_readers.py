"""A setting that is documented for another daemon has no effect on this one's configuration."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from stoker.config.effective import NOTHING_SET
from stoker.config.master import MasterConfig, add_master_arguments, master_config
from stoker.config.readers import is_read_by, read_settings
from stoker.config.registry import PROPERTIES
from stoker.config.sources import Daemon
from stoker.config.variables import VARIABLES
from stoker.config.worker import WorkerConfig, add_worker_arguments, worker_config
from stoker.errors import StokerError

# Without these some settings have no effect.
BASE = {
    "spark.deploy.recoveryDirectory": "/srv/records",
    "spark.deploy.zookeeper.url": "z1:2181",
    "spark.stoker.gateway.enabled": "true",
    "spark.authenticate.secret": "hush",
}
VALUES = ("true", "false", "7", "2g", "10.1.1.1", "none", "time", "/srv/elsewhere", "-Dspark.worker.timeout=7")
DAEMONS: tuple[Daemon, ...] = ("master", "worker")


def configuration(daemon: Daemon, folder: Path, properties: dict[str, str], environ: dict[str, str]) -> str:
    """The daemon's configuration as text, without its warnings and the settings that its page shows; empty where it rejects
    the settings."""
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in properties.items()))
    everything = {"HOME": "/nonexistent", "SPARK_CONF_DIR": str(folder), **environ}
    parser = argparse.ArgumentParser(add_help=False)
    try:
        if daemon == "master":
            add_master_arguments(parser)
            return shown(master_config(parser.parse_args([]), everything))
        add_worker_arguments(parser)
        return shown(worker_config(parser.parse_args(["spark://localhost"]), everything))
    except StokerError:
        return ""


def shown(config: MasterConfig | WorkerConfig) -> str:
    return repr(replace(config, warnings=(), ignored=(), web=replace(config.web, own=NOTHING_SET)))


@pytest.mark.parametrize("daemon", DAEMONS)
def test_what_a_daemon_does_not_read_does_not_change_it(daemon: Daemon, tmp_path: Path) -> None:
    for name, known in PROPERTIES.items():
        if not is_read_by(daemon, name):
            base = {other: value for other, value in BASE.items() if other != name}
            before = configuration(daemon, tmp_path, base, {})
            found = {configuration(daemon, tmp_path, {**base, name: value}, {}) for value in (known.example, *VALUES)}
            assert found - {""} <= {before}, f"the {daemon} reads {name}"
    before = configuration(daemon, tmp_path, {}, {})
    for name in VARIABLES:
        if not is_read_by(daemon, name):
            found = {configuration(daemon, tmp_path, {}, {name: value}) for value in VALUES}
            assert found - {""} <= {before}, f"the {daemon} reads {name}"


def test_unknown_settings_concern_both_and_the_lists_name_known_ones() -> None:
    assert all(is_read_by(daemon, name) for daemon in DAEMONS for name in ("spark.other", "PATH", "SPARK_MASTER_HOST"))
    settings = {"spark.deploy.maxDrivers": "3", "spark.worker.cleanup.enabled": "true", "spark.cores.max": "2"}
    assert read_settings("master", settings) == {"spark.deploy.maxDrivers": "3"}
    assert read_settings("worker", settings) == {"spark.worker.cleanup.enabled": "true"}
