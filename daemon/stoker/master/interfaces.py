"""The master's HTTP side: dashboard with API, and submissions in Spark's REST protocol. Their threads ask ``Control``."""

from __future__ import annotations

import logging

from stoker.config.master import MasterConfig, RestConfig
from stoker.core.model.addresses import address_of, is_loopback
from stoker.errors import ConfigError
from stoker.master.control import Control
from stoker.web.serve import LazyWebServer

LOG = logging.getLogger("stoker.master")


class Interfaces:
    """The HTTP servers; the constructor opens the ports. Raises ConfigError for an unusable port or certificate."""

    def __init__(self, config: MasterConfig, control: Control) -> None:
        self._config = config
        self._control = control
        tls = config.web.certificate.context() if config.web.certificate is not None else None
        self._dashboard = LazyWebServer(config.webui_host, config.webui_port, self._dashboard_app, tls=tls)
        address = address_of(config.public_dns or config.webui_host, self._dashboard.port)
        self.webui_url: str = f"{config.web.scheme}://{address}"
        self._rest = self._listen_rest(config.rest) if config.rest is not None else None

    def start(self) -> None:
        self._dashboard.start()
        if self._rest is not None:
            self._rest.start()

    def close(self) -> None:
        self._dashboard.close()
        if self._rest is not None:
            self._rest.close()

    def _listen_rest(self, config: RestConfig) -> LazyWebServer | None:
        """Open the port for submissions, without TLS, which Spark's clients do not support there, so usually on loopback.
        If the default port is taken, the master starts without it; a port that was configured must be free."""
        certificate = self._config.web.certificate
        tls = certificate.context() if certificate is not None and not is_loopback(config.host) else None
        try:
            server = LazyWebServer(
                config.host, config.port, self._rest_app, tls=tls, max_body=config.max_body_bytes, option=_REST_PORT
            )
        except ConfigError as error:
            if config.port_chosen:
                self._dashboard.close()
                raise
            LOG.warning("no submissions over HTTP: %s", error)
            return None
        LOG.info("submissions over HTTP at %s", address_of(config.host, server.port))
        return server

    def _dashboard_app(self) -> object:
        from stoker.web.access.setup import make_access  # noqa: PLC0415 - Flask is loaded when somebody first looks
        from stoker.web.master import make_app  # noqa: PLC0415

        config, control = self._config, self._control
        access = make_access(config.web, config.keys_dir)
        return make_app(control.snapshot, control, access=access, title=config.ui_title, own=config.web.own)

    def _rest_app(self) -> object:
        from stoker.web.access.setup import make_access  # noqa: PLC0415 - as above
        from stoker.web.rest.app import make_rest_app  # noqa: PLC0415

        config, rest = self._config, self._config.rest
        assert rest is not None
        return make_rest_app(
            self._control.snapshot,
            self._control,
            access=make_access(config.web, config.keys_dir, host=rest.host, anonymous=rest.anonymous),
            environ=rest.environ,
            allowed=rest.allowed_apps,
        )


_REST_PORT = "spark.master.rest.port, or switch it off with spark.master.rest.enabled false"
