"""``stoker master``: build a master from its configuration and run it until a signal stops it."""

from __future__ import annotations

import argparse
import logging
import signal
from collections.abc import Mapping

from stoker.config.master import add_master_arguments, master_config
from stoker.core.model.states import Role
from stoker.io.daemon import check_limits, handle_hangup, limit_memory, log_settings, set_up_logging
from stoker.master.lifecycle import MasterRunner
from stoker.security.audit import open_trail
from stoker.security.keys import Keys

LOG = logging.getLogger("stoker.master")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_master_arguments(parser)


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    config = master_config(args, environ)
    check_limits()
    set_up_logging(config.log_mode)
    open_trail("master", *config.audit)
    log_settings(LOG, config.warnings, config.ignored)
    limit_memory(config.memory_limit_mib)
    keys = None
    if config.authenticate:
        keys = Keys.open(config.keys_dir, create=(Role.MASTER, Role.WORKER, Role.CLIENT, Role.ADMIN))
    else:
        LOG.warning("spark.authenticate is false: anybody who reaches this port can run programs here")
    master = MasterRunner(config, keys)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: master.stop())
    signal.signal(signal.SIGPWR, lambda *_: master.log("SIGPWR is for workers; stop a master with SIGTERM"))
    handle_hangup(on_terminal_closed=master.stop, log=master.log)
    master.run()
    return 0
