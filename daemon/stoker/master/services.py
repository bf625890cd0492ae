"""The services that a master's recovery mode needs for one term: the election, and the store for its records."""

from __future__ import annotations

import logging
from collections.abc import Callable

from stoker.config.master import MasterConfig
from stoker.errors import ConfigError
from stoker.leader.alone import AloneLeadership
from stoker.leader.base import Candidate, Leadership
from stoker.recovery.base import RecoveryEngine

LOG = logging.getLogger("stoker.master")

# ruff: noqa: PLC0415 - only the engine in use is loaded


class Services:
    """Election and store of one term. ``open_engine`` may be called once this master is elected; ``is_shared``: other
    masters use the same records. Raises ConfigError when a setting is missing."""

    leadership: Leadership
    open_engine: Callable[[], RecoveryEngine]
    is_shared = False

    def __init__(self, config: MasterConfig, me: Candidate, port: int) -> None:
        if config.recovery_mode == "ZOOKEEPER":
            self._use_zookeeper(config, me)
            return
        self.leadership = AloneLeadership(config.state_dir / f"master-{port}")
        if config.recovery_mode == "FILESYSTEM":
            from stoker.recovery.filesystem import FilesystemRecovery

            directory = config.recovery_directory
            if directory is None:
                raise ConfigError("spark.deploy.recoveryMode FILESYSTEM needs spark.deploy.recoveryDirectory")
            self.open_engine = lambda: FilesystemRecovery(directory)
        else:
            from stoker.recovery.none import NoRecovery

            self.open_engine = NoRecovery

    def _use_zookeeper(self, config: MasterConfig, me: Candidate) -> None:
        from stoker.config.secrets import zookeeper_auth
        from stoker.io.zookeeper import ZooKeeperSettings, ZooKeeperTls
        from stoker.leader.zookeeper import ZooKeeperLeadership
        from stoker.recovery.zookeeper import ZooKeeperRecovery

        if config.upload_directory is None:
            LOG.warning(
                "uploaded files stay on this machine: for waiting drivers to find them after a fail-over, set"
                " spark.stoker.upload.directory to a folder that all masters share"
            )
        path = config.zookeeper_auth_file
        ca, chain, key = config.zookeeper_tls
        if not ca:
            LOG.info("the traffic with ZooKeeper is not encrypted: spark.stoker.zookeeper.tls.ca (docs/security.md)")
        settings = ZooKeeperSettings(
            hosts=config.zookeeper_url,
            directory=config.zookeeper_dir,
            session_timeout=config.zookeeper_session_timeout,
            auth=zookeeper_auth(path) if path is not None else "",
            tls=ZooKeeperTls(ca=ca, chain=chain, key=key) if ca else None,
        )
        leadership = ZooKeeperLeadership(settings, me)
        self.is_shared = True
        self.leadership = leadership
        self.open_engine = lambda: ZooKeeperRecovery(leadership.zookeeper, leadership.fence)
