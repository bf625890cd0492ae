"""Views in the shape of Spark's ``/json/`` (spec 15.5), key for key and in its order, so that existing monitors work;
``jackson.pretty`` prints them.

Times are in milliseconds since the Unix epoch, durations in milliseconds, memory in MiB.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from typing import Any

from stoker.core.model.resources import Addresses, Amounts, counted, grouped, pairs
from stoker.core.model.states import DriverState
from stoker.core.model.views import AppView, ClusterView, DriverView, WorkerView
from stoker.core.model.worker_views import ExecutorPage, WorkerPage

Json = dict[str, Any]


CLUSTER_FIELDS: dict[str, Callable[[ClusterView], Any]] = {
    "url": lambda cluster: cluster.url,
    "workers": lambda cluster: [worker_json(worker) for worker in cluster.workers],
    "aliveworkers": lambda cluster: len(cluster.live_workers),
    "cores": lambda cluster: sum(worker.cores for worker in cluster.live_workers),
    "coresused": lambda cluster: sum(worker.cores_used for worker in cluster.live_workers),
    "memory": lambda cluster: sum(worker.memory_mib for worker in cluster.live_workers),
    "memoryused": lambda cluster: sum(worker.memory_used_mib for worker in cluster.live_workers),
    "resources": lambda cluster: [_addresses(worker.resources) for worker in cluster.live_workers],
    "resourcesused": lambda cluster: [_addresses(worker.resources_used) for worker in cluster.live_workers],
    "activeapps": lambda cluster: [app_json(app) for app in cluster.active_apps],
    "completedapps": lambda cluster: [app_json(app) for app in cluster.completed_apps],
    "activedrivers": lambda cluster: [driver_json(driver) for driver in cluster.active_drivers],
    "completeddrivers": lambda cluster: [driver_json(driver) for driver in cluster.completed_drivers],
    "status": lambda cluster: cluster.state.value,
}


def cluster_json(cluster: ClusterView) -> Json:
    """Return the master's ``/json/``."""
    return {field: make(cluster) for field, make in CLUSTER_FIELDS.items()}


def utilization_json(cluster: ClusterView) -> Json:
    """Return the master's ``/json/clusterutilization``; percentages are whole numbers, 100 without workers."""
    total = {field: CLUSTER_FIELDS[field](cluster) for field in ("cores", "coresused", "memory", "memoryused")}
    return {
        "waitingDrivers": sum(driver.state is DriverState.SUBMITTED for driver in cluster.active_drivers),
        "cores": total["cores"],
        "coresused": total["coresused"],
        "coresutilization": _percent(total["coresused"], total["cores"]),
        "memory": total["memory"],
        "memoryused": total["memoryused"],
        "memoryutilization": _percent(total["memoryused"], total["memory"]),
    }


def worker_json(worker: WorkerView) -> Json:
    return {
        "id": worker.id,
        "host": worker.host,
        "port": worker.port,
        "webuiaddress": worker.webui_url,
        "cores": worker.cores,
        "coresused": worker.cores_used,
        "coresfree": worker.cores - worker.cores_used,
        "memory": worker.memory_mib,
        "memoryused": worker.memory_used_mib,
        "memoryfree": worker.memory_mib - worker.memory_used_mib,
        "resources": _addresses(worker.resources),
        "resourcesused": _addresses(worker.resources_used),
        "resourcesfree": _addresses(
            grouped(pair for pair in pairs(worker.resources) if pair not in pairs(worker.resources_used))
        ),
        "state": worker.shown_state.value,
        "lastheartbeat": _ms(worker.last_heartbeat),
    }


def app_json(app: AppView) -> Json:
    """Return an application; as in Spark, ``cores`` are the granted ones."""
    return {
        "id": app.id,
        "starttime": _ms(app.submitted),
        "name": app.name,
        "cores": app.cores_granted,
        "user": app.user,
        "memoryperexecutor": app.memory_mib,
        "memoryperslave": app.memory_mib,
        "resourcesperexecutor": _amounts(app.resources),
        "resourcesperslave": _amounts(app.resources),
        "submitdate": java_date(app.submitted),
        "state": app.state.value,
        "duration": _ms((app.ended or time.time()) - app.submitted),
    }


def driver_json(driver: DriverView) -> Json:
    """Return a driver; as in Spark, ``starttime`` is a string."""
    return {
        "id": driver.id,
        "starttime": str(_ms(driver.submitted)),
        "state": driver.state.value,
        "cores": driver.cores,
        "memory": driver.memory_mib,
        "resources": _addresses(driver.attempts[-1].resources if driver.worker_id else ()),
        "submitdate": java_date(driver.submitted),
        "worker": driver.worker_id or "None",
        "mainclass": driver.main_class or driver.main,
    }


def worker_page_json(page: WorkerPage) -> Json:
    """Return the worker's ``/json/``."""
    return {
        "id": page.id,
        "masterurl": page.master_url,
        "masterwebuiurl": page.master_webui_url,
        "cores": page.cores,
        "coresused": page.cores_used,
        "memory": page.memory_mib,
        "memoryused": page.memory_used_mib,
        "resources": _addresses(page.resources),
        "resourcesused": _addresses(page.resources_used),
        "executors": [_executor_json(executor) for executor in page.executors],
        "finishedexecutors": [_executor_json(executor) for executor in page.finished_executors],
    }


def _executor_json(executor: ExecutorPage) -> Json:
    """Return an executor; ``appdesc.cores`` is the application's maximum, 0 without a limit."""
    return {
        "id": executor.executor_id,
        "memory": executor.memory_mib,
        "resources": _addresses(executor.resources),
        "appid": executor.app_id,
        "appdesc": {
            "name": executor.app_name,
            "cores": executor.app_cores_max or 0,
            "memoryperexecutor": executor.memory_mib,
            "resourcesperexecutor": _amounts(counted(executor.resources)),
            "memoryperslave": executor.memory_mib,
            "resourcesperslave": _amounts(counted(executor.resources)),
            "user": executor.user,
            "command": shlex.join(executor.command),
        },
    }


def _addresses(resources: Addresses) -> Json:
    return {name: {"name": name, "addresses": list(addresses)} for name, addresses in resources}


def _amounts(amounts: Amounts) -> list[Json]:
    return [{"name": name, "amount": amount} for name, amount in amounts]


def java_date(seconds: float) -> str:
    """Return a time as ``java.util.Date`` prints it: ``Sat Nov 21 07:41:53 UTC 2026``."""
    moment = time.localtime(seconds)
    day, month = _DAYS[moment.tm_wday], _MONTHS[moment.tm_mon - 1]  # English in every locale
    return f"{day} {month} {moment.tm_mday:02} {time.strftime('%H:%M:%S %Z %Y', moment)}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _percent(used: int, total: int) -> int:
    return 100 * used // total if total else 100
