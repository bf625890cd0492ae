"""``stoker doctor [HOST...]``: what is wrong with this machine, or with others as it sees them, and how to mend it."""

from __future__ import annotations

import argparse
import json
import math
import socket
import time
from collections.abc import Mapping, Sequence

import msgspec

from stoker.client.api import Client
from stoker.client.commands.common import add_connection_arguments, timeout_of
from stoker.client.doctor import access, cluster, machine, network
from stoker.client.doctor.finding import RANK, Check, Finding, each, run_checks
from stoker.client.show.table import clean
from stoker.config.client import ClientConfig, client_config
from stoker.config.sources import Settings, load_settings
from stoker.core.model.addresses import canonical_host
from stoker.core.model.views import ClusterView
from stoker.errors import StokerError, UsageError
from stoker.version import RELEASE

WITHIN = 20.0  # seconds for all checks of one kind together


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "hosts", nargs="*", metavar="HOST", help="look at these hosts from here (default: at this machine)"
    )
    add_connection_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--strict", action="store_true", help="a warning makes the exit code 1, too")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Return 0 without a problem (with ``--strict``: and without a warning), else 1."""
    for host in args.hosts:
        if not host.strip() or any(c in host for c in " /,@\t\n"):
            raise UsageError(f"{host!r} is not a host: give a name or an address, for example 10.0.0.5")
    args.hosts = [canonical_host(host) if ":" in host else host for host in args.hosts]
    timeout = timeout_of(args) if args.timeout is not None else 5.0
    findings = _examine(args, environ, timeout)
    worst = max((RANK[finding.level] for finding in findings), default=0)
    if args.json:
        print(json.dumps(_document(args, findings), indent=2))
    else:
        print("\n".join(_lines(findings)))
    return 1 if worst > (0 if args.strict else 1) else 0


def _document(args: argparse.Namespace, findings: list[Finding]) -> dict[str, object]:
    return {
        "host": ",".join(args.hosts) or socket.gethostname(),
        "seen_from": socket.gethostname(),
        "release": RELEASE,
        "time": time.time(),
        "findings": [msgspec.to_builtins(finding) for finding in findings],
    }


def _lines(findings: list[Finding]) -> list[str]:
    """Return a line for each finding, the worst last, where a terminal shows them."""
    width = max((len(finding.check) for finding in findings), default=0)
    ordered = sorted(findings, key=lambda finding: RANK[finding.level])
    lines = [
        f"{finding.level:<8}  {finding.check:<{width}}  {clean(finding.found, 400)}"
        + (f"; fix: {clean(finding.fix, 300)}" if finding.fix and RANK[finding.level] else "")
        for finding in ordered
    ]
    counts = [sum(RANK[finding.level] == rank for finding in findings) for rank in (2, 1)]
    said = ", ".join(
        f"{count} {word}{'s' * (count != 1)}" for count, word in zip(counts, ("problem", "warning"), strict=True)
    )
    return [*lines, f"{said}, {len(findings)} finding{'s' * (len(findings) != 1)}"]


def _examine(args: argparse.Namespace, environ: Mapping[str, str], timeout: float) -> list[Finding]:
    try:
        settings = load_settings(environ, daemon=None)
    except StokerError as error:
        fix = "correct the file; 'stoker config check FILE' checks it"
        return [Finding("settings", "problem", str(error), fix)]
    config: ClientConfig | None = None
    found: list[Finding] = []
    try:
        config = client_config(args, environ)
    except StokerError as error:
        found.append(Finding("settings", "problem", str(error), "set MASTER, or give --master"))
    checks = _of_hosts(args.hosts, config) if args.hosts else _of_machine(settings, config)
    view: list[ClusterView] = []
    if config is not None:
        checks["leader"] = _asking(config, timeout, view)
    found += run_checks(checks, WITHIN + (timeout if math.isfinite(timeout) else 0))
    if view:
        found += run_checks(_of_cluster(view[0], args.hosts), WITHIN)
    return found


def _asking(config: ClientConfig, timeout: float, view: list[ClusterView]) -> Check:
    """Return a check that asks the leader for the cluster, and puts it into ``view``."""

    def ask() -> list[Finding]:
        with Client(config=config, timeout=timeout) as client:
            view.append(client.cluster())
        return cluster.leader(view[0])

    return ask


def _of_machine(settings: Settings, config: ClientConfig | None) -> dict[str, Check]:
    masters = config.masters if config is not None else ()
    hosts = {network.split(address)[0] for address in masters}
    alone = hosts <= {"127.0.0.1", "localhost", "::1", socket.gethostname()}
    return {
        "names": lambda: network.names(socket.gethostname(), alone=alone),
        "masters": lambda: network.masters(masters),
        "ports": lambda: machine.ports(settings),
        "descriptors": machine.descriptors,
        "disk": lambda: machine.disks(settings),
        "control groups": machine.control_groups,
        "programs": lambda: machine.programs(settings),
        "keys": lambda: access.keys(settings, masters),
        "secrets": lambda: access.secrets(settings),
        "folders": lambda: access.folders(settings),
    }


def _of_hosts(hosts: Sequence[str], config: ClientConfig | None) -> dict[str, Check]:
    masters = [address for address in (config.masters if config else ()) if network.split(address)[0] in hosts]
    return {
        "names": lambda: each("names", hosts, lambda host: network.names(host, alone=False)),
        "masters": lambda: network.masters(tuple(masters)),
    }


def _of_cluster(view: ClusterView, hosts: Sequence[str]) -> dict[str, Check]:
    leader = view.url.partition("://")[2].rpartition(":")[0]
    of_workers = [host for host in hosts if host != leader or any(worker.host == host for worker in view.workers)]
    checks: dict[str, Check] = {
        "versions": lambda: cluster.versions(view, hosts),
        "addresses": lambda: network.advertised(view, hosts),
        "clock": lambda: network.clock(view),
    }
    if of_workers or not hosts:
        checks["workers"] = lambda: cluster.workers(view, of_workers)
        checks["limits"] = lambda: cluster.limits(view, of_workers)
        checks["accounts"] = lambda: cluster.accounts(view, of_workers)
    return checks
