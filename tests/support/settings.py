"""Settings as the daemons would read them from a command line and an environment."""

from __future__ import annotations

import argparse
from pathlib import Path

from stoker.config.master import MasterConfig, add_master_arguments, master_config
from stoker.config.worker import WorkerConfig, add_worker_arguments, worker_config


def empty_environ(folder: Path) -> dict[str, str]:
    """A user whose home and configuration are that folder, on loopback."""
    return {"SPARK_CONF_DIR": str(folder), "HOME": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"}


def master(environ: dict[str, str], *words: str) -> MasterConfig:
    parser = argparse.ArgumentParser(add_help=False)
    add_master_arguments(parser)
    return master_config(parser.parse_args(words), environ)


def worker(environ: dict[str, str], *words: str) -> WorkerConfig:
    parser = argparse.ArgumentParser(add_help=False)
    add_worker_arguments(parser)
    return worker_config(parser.parse_args([*words, "spark://127.0.0.1:7077"]), environ)
