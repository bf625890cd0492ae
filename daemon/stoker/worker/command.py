"""``stoker worker``: make a worker from its configuration and run it until it is stopped."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Mapping

from stoker.config.common import is_own
from stoker.config.sources import configuration_folder
from stoker.config.worker import WorkerConfig, add_worker_arguments, worker_config
from stoker.core.model.addresses import address_of
from stoker.core.model.resources import address_words
from stoker.core.model.states import Role
from stoker.core.worker.registration import WorkerIdentity
from stoker.errors import ConfigError
from stoker.io.daemon import check_limits, handle_hangup, limit_memory, log_settings, set_up_logging
from stoker.io.listening import warn_of_other_port
from stoker.io.loop import Loop
from stoker.security.audit import open_trail
from stoker.security.keys import Keys
from stoker.version import RELEASE
from stoker.web.serve import LazyWebServer
from stoker.worker.daemon import WorkerDaemon
from stoker.worker.devices.discovery import discover
from stoker.worker.jobs.limits import LimitsInForce
from stoker.worker.jobs.submitter import RUN_AS, open_ways
from stoker.worker.runas.starting import Starter
from stoker.worker.slot import Slot

LOG = logging.getLogger("stoker.worker")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_worker_arguments(parser)


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    starter = Starter.begin(configuration_folder(environ))  # first: from now on this process has no capability
    config = worker_config(args, environ)
    check_limits()
    set_up_logging(config.log_mode)
    open_trail("worker", *config.audit)
    log_settings(LOG, config.warnings, config.ignored)
    limit_memory(config.memory_limit_mib)
    resources = discover(config.resources, config.job_environ)
    limits = LimitsInForce.found(config.limits)
    open_ways(config, starter is not None)
    slot = Slot.take(config.work_dir)
    listener = _listen(config, slot.last_port)
    port = listener.getsockname()[1]
    slot.remember_port(port)
    loop = Loop()
    daemon: WorkerDaemon
    tls = config.web.certificate.context() if config.web.certificate is not None else None
    web = LazyWebServer(config.web.host, config.webui_port, lambda: _web_app(daemon, config), tls=tls)
    identity = WorkerIdentity(
        id=f"worker-{time.strftime('%Y%m%d%H%M%S')}-{config.host}-{port}",
        boot=os.urandom(8).hex(),
        host=config.host,
        port=port,
        cores=config.cores,
        memory_mib=config.memory_mib,
        webui_url=f"{config.web.scheme}://{address_of(config.public_dns or config.web.host, web.port)}",
        version=RELEASE,
        resources=resources,
        limits=limits.words,
        run_as=RUN_AS[config.run_as],
    )
    # Programs that connect to the cluster use this worker's keys.
    environ = {**config.job_environ, "STOKER_KEYS_DIR": str(config.keys_dir)}
    daemon = WorkerDaemon(
        config,
        identity,
        loop=loop,
        slot=slot,
        keys=_keys(config),
        environ=environ,
        limits=limits,
        starter=starter if config.run_as != "off" else None,
    )
    loop.add_reader(listener.fileno(), lambda: _turn_away(listener))
    signal.signal(signal.SIGTERM, lambda *_: daemon.stop(keeping=True))
    signal.signal(signal.SIGINT, lambda *_: daemon.stop(keeping=False))
    signal.signal(signal.SIGPWR, lambda *_: daemon.decommission())
    handle_hangup(
        on_terminal_closed=lambda: daemon.stop(keeping=False),
        log=lambda text: loop.call_soon_threadsafe(lambda: LOG.info(text)),
    )
    offer = f"{config.cores} cores, {config.memory_mib} MiB" + (f", {address_words(resources)}" if resources else "")
    LOG.info("%s: %s, limits %s, dashboard at %s", identity.id, offer, limits.words, identity.webui_url)
    try:
        web.start()
        gc.freeze()  # these objects live as long as the daemon: exclude them from every collection
        daemon.run()
        LOG.info("stopped")
    finally:
        web.close()
        daemon.close()
        listener.close()
    return 0


def _keys(config: WorkerConfig) -> Keys | None:
    """Open the keys. On a master's machine, the master or the worker makes them, whichever starts first; elsewhere an
    operator copies them there."""
    if not config.authenticate:
        LOG.warning("spark.authenticate is false: this worker obeys any program that answers at its master's address")
        return None
    local = all(is_own(address.rpartition(":")[0].strip("[]")) for address in config.masters)
    return Keys.open(config.keys_dir, create=(Role.MASTER, Role.WORKER, Role.CLIENT, Role.ADMIN) if local else None)


def _listen(config: WorkerConfig, last_port: int) -> socket.socket:
    """Reserve the worker's port, which is part of its id and address, by listening on it. Nobody connects to it: the
    cluster's messages arrive on the worker's connection to its master."""
    wanted = [config.port + offset for offset in range(config.max_port_retries + 1)] if config.port else [last_port, 0]
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    for port in wanted:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.host, port))
        except OSError as error:
            listener.close()
            problem = error.strerror
            continue
        listener.listen(16)
        listener.setblocking(False)
        if config.port:
            warn_of_other_port(config.host, config.port, port)
        return listener
    raise ConfigError(f"cannot listen on {config.host}, ports {wanted[0]}-{wanted[-1]}: {problem}")


def _turn_away(listener: socket.socket) -> None:
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return
    connection.close()


def _web_app(daemon: WorkerDaemon, config: WorkerConfig) -> object:
    from stoker.web.access.setup import make_access  # noqa: PLC0415 - Flask is loaded when somebody first looks
    from stoker.web.worker import make_app  # noqa: PLC0415

    access = make_access(config.web, config.keys_dir)
    return make_app(daemon.page, daemon.read_log, access=access, own=config.web.own)
