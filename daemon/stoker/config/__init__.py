"""What is configured: typed settings of masters, workers and clients (docs/configuration.md)."""

from stoker.config.client import ClientConfig, add_client_arguments, client_config
from stoker.config.master import MasterConfig, add_master_arguments, master_config
from stoker.config.sources import Settings, load_settings
from stoker.config.types import parse_bytes, parse_duration, parse_master_url, parse_memory
from stoker.config.worker import LogRolling, WorkerConfig, add_worker_arguments, worker_config

__all__ = [
    "ClientConfig",
    "LogRolling",
    "MasterConfig",
    "Settings",
    "WorkerConfig",
    "add_client_arguments",
    "add_master_arguments",
    "add_worker_arguments",
    "client_config",
    "load_settings",
    "master_config",
    "parse_bytes",
    "parse_duration",
    "parse_master_url",
    "parse_memory",
    "worker_config",
]
