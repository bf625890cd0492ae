"""Spark's own properties that Stoker accepts without effect, and those that a submission carries in vain."""

from __future__ import annotations

from collections.abc import Iterable

_TOKENS = "tokens say who may do what: docs/security.md"
_CERTIFICATES = "pages ask for tokens, not for certificates: docs/security.md"
_OPEN_KEY = "store the key without a password, mode 0600"
_TLS = "TLS 1.2 or newer, as Python's ssl module chooses"
_ENCRYPT = "with spark.network.crypto.saslFallback false Spark clients must encrypt"

# Name -> what to do instead, where there is something.
INEFFECTIVE: dict[str, str] = {
    **dict.fromkeys((
        "spark.deploy.recoveryMode.factory", "spark.deploy.recoveryCompressionCodec", "spark.deploy.appNumberModulo",
        "spark.deploy.recoverySerializationFilter", "spark.deploy.driverIdPattern", "spark.deploy.appIdPattern",
        "spark.master.rest.maxThreads", "spark.master.rest.virtualThread.enabled",
        "spark.master.ui.historyServerUrl",
        "spark.master.ui.visibleEnvVarPrefixes", "spark.master.useAppNameAsAppId.enabled",
        "spark.master.useDriverIdAsAppName.enabled", "spark.worker.initialRegistrationRetries",
        "spark.worker.maxRegistrationRetries", "spark.worker.preferConfiguredMasterAddress",
        "spark.worker.ui.retainedExecutors", "spark.worker.ui.retainedDrivers",
        "spark.worker.ui.compressedLogFileLengthCacheSize", "spark.worker.decommission.signal", "spark.worker.idPattern",
        "spark.worker.executorStateSync.maxAttempts", "spark.ui.reverseProxy", "spark.ui.reverseProxyUrl",
    ), ""),
    "spark.worker.memory": "set SPARK_WORKER_MEMORY",
    "spark.worker.cores": "set SPARK_WORKER_CORES",
    # Most are outside our namespaces, but nobody may believe that these protect a cluster of Stoker's.
    **dict.fromkeys((
        "spark.acls.enable", "spark.admin.acls", "spark.admin.acls.groups", "spark.modify.acls",
        "spark.modify.acls.groups", "spark.ui.view.acls", "spark.ui.view.acls.groups", "spark.ui.filters",
        "spark.user.groups.mapping", "spark.master.rest.filters", "spark.master.ui.decommission.allow.mode",
    ), _TOKENS),
    **{
        f"spark.ssl.{scope}{name}": hint
        for scope in ("", "standalone.")
        for name, hint in {
            "needClientAuth": _CERTIFICATES, "trustStore": _CERTIFICATES, "trustStorePassword": _CERTIFICATES,
            "trustStoreType": _CERTIFICATES, "privateKeyPassword": _OPEN_KEY,
            "protocol": _TLS, "enabledAlgorithms": _TLS,
        }.items()
    },
    "spark.ssl.rpc.enabled": "workers and commands always encrypt; Spark clients: spark.network.crypto.enabled",
    "spark.authenticate.enableSaslEncryption": _ENCRYPT,
    "spark.network.sasl.serverAlwaysEncrypt": _ENCRYPT,
    "spark.redaction.regex": "values of names with secret, password, token, credential or access key are always hidden",
    "spark.ui.allowFramingFrom": "no other site may show the pages in a frame",
    "spark.ui.strictTransportSecurity": "let the proxy before the pages add this header",
}  # fmt: skip

DAEMONS = ("spark.deploy.", "spark.worker.", "spark.master.")  # settings of daemons, which go with no submission


def in_vain(names: Iterable[str]) -> list[str]:
    """Return one line for each kind of ``names`` that somebody set for one submission and that do not have the effect for
    which they were set: settings of daemons, and those that protect a Spark program's own pages alone."""
    named = sorted(names)
    of_daemons = [name for name in named if name.startswith(DAEMONS)]
    of_pages = [
        name for name in named if name not in of_daemons and (name in INEFFECTIVE or name.startswith("spark.ssl."))
    ]
    lines = []
    if of_daemons:
        lines.append(f"settings of daemons, without effect on a submission: {', '.join(of_daemons)}")
    if of_pages:
        lines.append(f"only a Spark program's own pages and connections obey {', '.join(of_pages)}: docs/security.md says"
                     " what protects jobs here")  # fmt: skip
    return lines
