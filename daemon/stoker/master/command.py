"""``stoker master``: put a master together from its configuration and run it until it is told to stop."""

from __future__ import annotations

import argparse
import gc
import logging
import signal
from collections.abc import Mapping

from stoker.config import MasterConfig, add_master_arguments, master_config
from stoker.core.states import Role
from stoker.errors import ConfigError
from stoker.io.auth import Authorizer, Keys
from stoker.io.daemon import limit_memory, log_settings, set_up_logging
from stoker.io.loop import Loop
from stoker.io.notify import notify
from stoker.io.sockets import Server
from stoker.io.transport import bracketed
from stoker.leader.alone import AloneLeadership
from stoker.master.daemon import MasterDaemon
from stoker.recovery.base import RecoveryEngine
from stoker.web.serve import LazyWebServer

LOG = logging.getLogger("stoker.master")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_master_arguments(parser)


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    config = master_config(args, environ)
    set_up_logging()
    log_settings(LOG, config.warnings, config.ignored)
    limit_memory(config.memory_limit_mib)
    keys = None
    if config.authenticate:
        keys = Keys.open(config.keys_dir, create=(Role.MASTER, Role.WORKER, Role.CLIENT, Role.ADMIN))
    else:
        LOG.warning("spark.authenticate is false: anybody who reaches this port can run programs here")
    loop = Loop()
    server = Server(
        loop,
        host=config.host,
        port=config.port,
        max_port_retries=config.max_port_retries,
        keys=keys,
        authorizer=Authorizer(config.keys_dir) if keys is not None else None,
        heartbeat_timeout=config.policy.worker_timeout,
    )
    engine = _make_engine(config)
    epoch = AloneLeadership(config.state_dir / f"master-{server.port}").acquire()
    _serve(config, loop, server, engine, epoch)
    return 0


def _serve(config: MasterConfig, loop: Loop, server: Server, engine: RecoveryEngine, epoch: int) -> None:
    daemon: MasterDaemon
    web = LazyWebServer(config.webui_host, config.webui_port, lambda: _web_app(daemon, config))
    webui_url = f"http://{bracketed(config.public_dns or config.webui_host)}:{web.port}"
    daemon = MasterDaemon(config, loop=loop, server=server, engine=engine, epoch=epoch, webui_url=webui_url)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stop())
    try:
        daemon.recover()
        web.start()
        LOG.info("dashboard at %s", webui_url)
        print(daemon.url, flush=True)
        notify(f"READY=1\nSTATUS=serving {daemon.url}")
        gc.freeze()  # what is there now stays: keep it out of every collection
        daemon.run()
        LOG.info("stopped")
    finally:
        web.close()
        daemon.close()


def _make_engine(config: MasterConfig) -> RecoveryEngine:
    """The engine of ``spark.deploy.recoveryMode``. Raises ConfigError when a setting it needs is missing."""
    if config.recovery_mode == "NONE":
        from stoker.recovery.none import NoRecovery  # noqa: PLC0415 - only the engine in use is loaded

        return NoRecovery()
    if config.recovery_mode == "FILESYSTEM":
        from stoker.recovery.filesystem import FilesystemRecovery  # noqa: PLC0415

        if config.recovery_directory is None:
            raise ConfigError("spark.deploy.recoveryMode FILESYSTEM needs spark.deploy.recoveryDirectory")
        return FilesystemRecovery(config.recovery_directory)
    raise ConfigError(
        f"spark.deploy.recoveryMode {config.recovery_mode} is not available in this version: use NONE or FILESYSTEM"
    )


def _web_app(daemon: MasterDaemon, config: MasterConfig) -> object:
    from stoker.web.master import make_app  # noqa: PLC0415 - Flask is loaded when somebody first looks

    return make_app(
        daemon.snapshot, daemon, host=config.webui_host, title=config.ui_title, kill_enabled=config.kill_enabled
    )
