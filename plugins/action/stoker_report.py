# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""What ``status.yml`` shows: a table of hosts, daemons and states, made on the controller from what hosts and masters said.

It has no module: it runs nothing on any host.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from tabulate import tabulate

_COLUMNS = ("HOST", "DAEMON", "SERVICE", "STATE", "RUNNING", "VERSION", "NOTE")


class ActionModule(ActionBase):
    """Arguments: ``hosts``, a list of dictionaries: name, address, wanted (names of daemons), found (what stoker_host_info
    said, or none where it was not reached); ``clusters``, what each master that answered said, as ``stoker status --json``.
    Fails, after the table, when no master answers."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        clusters = [cluster for cluster in self._task.args["clusters"] if cluster]
        cluster: dict[str, Any] = next((one for one in clusters if one.get("state") != "STANDBY"), {})
        rows = [row for host in self._task.args["hosts"] for row in _rows(host, cluster)]
        rows += _strangers(self._task.args["hosts"], cluster)
        lines = tabulate(rows, headers=_COLUMNS, tablefmt="plain", disable_numparse=True).splitlines()
        lines += ["", _summary(cluster)]
        for line in lines:
            Display().display(line.rstrip())
        if not cluster:
            return {"failed": True, "msg": lines[-1]}
        return {"changed": False, "rows": [dict(zip(_COLUMNS, row, strict=True)) for row in rows], "summary": lines[-1]}


def _rows(host: dict[str, Any], cluster: dict[str, Any]) -> list[list[str]]:
    found = host.get("found")
    if found is None:
        return [[host["name"], name, "unreachable", *_seen(host, name, 0, cluster)] for name in host["wanted"]]
    daemons = {daemon["name"]: daemon for daemon in found["daemons"]}
    rows = []
    for name in dict.fromkeys([*host["wanted"], *daemons]):
        daemon = daemons.get(name, {"pid": 0, "service": "stopped", "release": "", "status": ""})
        seen = _seen(host, name, _place(daemons, name), cluster)
        if name.startswith("master") and not seen[0]:
            seen = _standby(daemon, cluster)
        notes = [seen[3]] if seen[3] else []
        if name not in host["wanted"]:
            notes.append("not in the inventory")
        if daemon["release"] and daemon["release"] != found["release"]:
            notes.append(f"runs {daemon['release']}, {found['release']} is installed")
        version = seen[2] or daemon["release"]
        rows.append([host["name"], name, daemon["service"], seen[0], seen[1], version, "; ".join(notes)])
    return rows


def _place(daemons: dict[str, Any], name: str) -> int:
    kind = name.partition("-")[0]
    return [other for other in sorted(daemons) if other.startswith(kind)].index(name) if name in daemons else 0


def _seen(host: dict[str, Any], name: str, place: int, cluster: dict[str, Any]) -> list[str]:
    """State, running jobs, version and note of a daemon, as the leader sees it."""
    if not cluster or name == "zookeeper":
        return ["", "", "", ""]
    if name.startswith("master"):
        leads = cluster["url"].removeprefix("spark://").rpartition(":")[0].strip("[]") == host["master_address"]
        return [f"{cluster['state']} (leader)", "", cluster["version"], cluster["url"]] if leads else ["", "", "", ""]
    here = [worker for worker in cluster["workers"] if worker["host"] == host["address"]]
    here.sort(key=lambda worker: (worker["state"] != "ALIVE", worker["port"]))
    if place >= len(here):
        return ["not registered", "", "", ""]
    worker = here[place]
    note = "draining" if worker["draining"] else ""
    return [worker["state"], str(worker["running"]), worker["version"], f"port {worker['port']}" + f" {note}".rstrip()]


def _standby(daemon: dict[str, Any], cluster: dict[str, Any]) -> list[str]:
    """State, running jobs, version and note of a master that does not lead: what it reports to systemd. Without systemd, a
    running master is a standby when another one leads."""
    word, _, note = daemon["status"].partition(": ")
    if word == "standby":
        return ["STANDBY", "", "", note]
    return ["STANDBY" if daemon["service"] == "running" and cluster else "", "", "", ""]


def _strangers(hosts: list[dict[str, Any]], cluster: dict[str, Any]) -> list[list[str]]:
    """Workers that the leader lists on hosts that were not asked."""
    known = {host["address"] for host in hosts}
    rows = []
    for worker in cluster.get("workers", []):
        if worker["host"] not in known:
            state = worker["state"] + (" draining" if worker["draining"] else "")
            where = f"port {worker['port']}; not asked here"
            rows.append([worker["host"], "worker", "", state, str(worker["running"]), worker["version"], where])
    return rows


def _summary(cluster: dict[str, Any]) -> str:
    if not cluster:
        return "No master answers: the states of workers and jobs are not known."
    drivers, apps = len(cluster["active_drivers"]), len(cluster["active_apps"])
    alive = sum(worker["state"] == "ALIVE" and not worker["draining"] for worker in cluster["workers"])
    return f"{cluster['url']} is {cluster['state']}: {alive} workers alive, {drivers} drivers, {apps} applications."
