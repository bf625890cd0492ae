"""A master's life: standby -> elected -> leading -> deposed -> standby ..., until it is stopped (docs/high-availability.md).

Each turn (a *term*) has its own loop, ROUTER, session with ZooKeeper and books, which are dropped with it: a deposed leader
has forgotten its books and closed its connections before it stands for election again (ADR 11). Process, ports and dashboard
stay.
"""

from __future__ import annotations

import functools
import gc
import logging
import time
from collections import deque
from collections.abc import Callable

from stoker.config.master import GatewayConfig, MasterConfig
from stoker.core.model.addresses import address_of
from stoker.core.model.counts import Tally
from stoker.gateway.server import GatedServer
from stoker.gateway.terms import LONG_SECRET, Terms
from stoker.io.loop import Loop
from stoker.io.notify import notify
from stoker.io.sockets import Server
from stoker.leader.base import Candidate, Elected, LeadershipEvent
from stoker.master.control import Control
from stoker.master.daemon import MasterDaemon
from stoker.master.interfaces import Interfaces
from stoker.master.pools_file import PoolsFile
from stoker.master.services import Services
from stoker.master.standby import Standby
from stoker.recovery.base import StorageFailed
from stoker.security.authorizer import Authorizer
from stoker.security.keys import Keys
from stoker.security.spark_secrets import SparkSecrets

LOG = logging.getLogger("stoker.master")
STAND_AGAIN = 1.0  # seconds to wait after the records could not be opened, so that other masters go first


class MasterRunner:
    """Runs a master until ``stop``."""

    def __init__(self, config: MasterConfig, keys: Keys | None) -> None:
        self._config = config
        self._keys = keys
        self._port = config.port
        self._stage: Standby | MasterDaemon | None = None
        self._stopping = False
        self._is_ready = False
        self._webui_url = ""
        self._tally = Tally()
        self._pools = PoolsFile(config.pools_file)
        self._spark_secrets = _spark_secrets(config.gateway)

    def stop(self) -> None:
        """End ``run``. Callable from a signal handler or any thread."""
        self._stopping = True
        stage = self._stage
        if stage is not None:
            stage.loop.call_soon_threadsafe(stage.loop.stop)

    def log(self, text: str) -> None:
        """Log a line. Callable from a signal handler or any thread."""
        stage = self._stage
        if stage is not None:
            stage.loop.call_soon_threadsafe(lambda: LOG.info("%s", text))

    def run(self) -> None:
        """Serve until ``stop``. Raises StokerError when this master cannot serve at all."""
        loop, server = self._listen(self._config.max_port_retries)
        interfaces = Interfaces(self._config, Control(lambda: self._stage))
        try:
            self._webui_url = interfaces.webui_url
            interfaces.start()
            self._term(loop, server)
            while not self._stopping:
                self._term(*self._listen(0))
            LOG.info("stopped")
        finally:
            interfaces.close()

    def _listen(self, max_port_retries: int) -> tuple[Loop, Server]:
        loop = Loop()
        try:
            server = self._server_type()(
                loop,
                host=self._config.host,
                port=self._port,
                max_port_retries=max_port_retries,
                keys=self._keys,
                authorizer=Authorizer(self._config.keys_dir) if self._keys is not None else None,
                heartbeat_timeout=self._config.policy.worker_timeout,
                message_limit=self._config.limits.message,
                queue_limit=self._config.limits.queued,
            )
        except BaseException:
            loop.close()
            raise
        self._port = server.port
        return loop, server

    def _server_type(self) -> Callable[..., Server]:
        gateway = self._config.gateway
        if gateway is None:
            return functools.partial(GatedServer, terms=Terms(closed=True))
        terms = Terms(
            secret=gateway.secret,
            own_user_only=not gateway.secret and self._spark_secrets is None and not gateway.open,
            named=self._spark_secrets,
            sasl=gateway.sasl,
            only_gcm=gateway.only_gcm,
        )
        if terms.is_guessable:
            LOG.warning(
                "spark.authenticate.secret has under %d characters: ten wrong ones lock out everybody at an address for a"
                " minute. Use a longer one, as 'openssl rand -hex 16' makes",
                LONG_SECRET,
            )
        return functools.partial(GatedServer, terms=terms)

    @property
    def _url(self) -> str:
        return f"spark://{address_of(self._config.host, self._port)}"

    def _term(self, loop: Loop, server: Server) -> None:
        """Run one term: from standing for election to the end of leading. However it ends, all its resources are closed."""
        news: deque[LeadershipEvent] = deque()

        def on_event(event: LeadershipEvent) -> None:
            news.append(event)
            loop.wake()

        me = Candidate(self._url.removeprefix("spark://"), self._webui_url)
        services = Services(self._config, me, self._port)
        try:
            standby = Standby(
                loop=loop,
                server=server,
                news=news,
                url=self._url,
                webui_url=self._webui_url,
                on_serving=self._say_ready,
                tally=self._tally,
            )
            self._enter(standby)
            services.leadership.start(on_event)
            elected = standby.run()
            if elected is not None and not self._stopping:
                self._lead(standby, server, services, news, elected)
        except StorageFailed as error:
            if not services.is_shared:
                raise
            LOG.error("%s: standing for election again", error)
            services.leadership.release()  # another master may be able to open the records
            time.sleep(STAND_AGAIN)
        finally:
            services.leadership.release()
            server.close()
            loop.close()

    def _lead(
        self, standby: Standby, server: Server, services: Services, news: deque[LeadershipEvent], elected: Elected
    ) -> None:
        daemon = MasterDaemon(
            self._config,
            loop=standby.loop,
            server=server,
            engine=services.open_engine(),
            news=news,
            epoch=elected.epoch,
            webui_url=self._webui_url,
            tally=self._tally,
            pools=self._pools,
            spark_secrets=self._spark_secrets,
        )
        try:
            daemon.recover()
            daemon.invite(standby.waiting)
            if standby.roster.addresses:
                news.appendleft(standby.roster)  # the election reports it only when it changes
            self._enter(daemon)
            LOG.info("leading under epoch %d; dashboard at %s", elected.epoch, self._webui_url)
            self._say_ready(f"serving {daemon.url}")
            gc.freeze()  # the present objects live as long as the process: keep them out of every collection
            daemon.run()
        finally:
            gc.unfreeze()
            if self._stopping:
                services.leadership.release()  # first, so that the next master can begin
            daemon.close()

    def _enter(self, stage: Standby | MasterDaemon) -> None:
        self._stage = stage
        if self._stopping:  # the signal came between two stages
            stage.loop.stop()

    def _say_ready(self, status: str) -> None:
        if not self._is_ready:
            print(self._url, flush=True)
        self._is_ready = True
        notify(f"READY=1\nSTATUS={status}")


def _spark_secrets(gateway: GatewayConfig | None) -> SparkSecrets | None:
    """Return the secrets by name, which live as long as the process. Raises ConfigError for a wrong file."""
    if gateway is None or gateway.secrets_file is None:
        return None
    return SparkSecrets(gateway.secrets_file, gateway.secret)
