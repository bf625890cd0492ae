"""Views in the shape of Spark's ``/json/`` (spec 15.5), key for key, so that existing monitors work. Times in ms."""

from __future__ import annotations

import time
from typing import Any

from stoker.core.snapshot import AppView, ClusterView, DriverView, WorkerView
from stoker.core.states import WorkerState
from stoker.core.values import UNLIMITED
from stoker.core.worker_snapshot import ExecutorPage, WorkerPage

Json = dict[str, Any]


def cluster_json(cluster: ClusterView) -> Json:
    alive = [worker for worker in cluster.workers if worker.state is WorkerState.ALIVE]
    return {
        "url": cluster.url,
        "workers": [worker_json(worker) for worker in cluster.workers],
        "aliveworkers": len(alive),
        "cores": sum(worker.cores for worker in alive),
        "coresused": sum(worker.cores_used for worker in alive),
        "memory": sum(worker.memory_mib for worker in alive),
        "memoryused": sum(worker.memory_used_mib for worker in alive),
        "resources": [],
        "resourcesused": [],
        "activeapps": [app_json(app) for app in cluster.active_apps],
        "completedapps": [app_json(app) for app in cluster.completed_apps],
        "activedrivers": [driver_json(driver) for driver in cluster.active_drivers],
        "completeddrivers": [driver_json(driver) for driver in cluster.completed_drivers],
        "status": cluster.state.value,
    }


def utilization_json(cluster: ClusterView) -> Json:
    """``/json/clusterutilization``."""
    whole = cluster_json(cluster)
    waiting = sum(driver.state.value == "SUBMITTED" for driver in cluster.active_drivers)

    def percent(used: int, total: int) -> int:
        return 100 * used // total if total else 100

    return {
        "waitingDrivers": waiting,
        "cores": whole["cores"],
        "coresused": whole["coresused"],
        "coresutilization": percent(whole["coresused"], whole["cores"]),
        "memory": whole["memory"],
        "memoryused": whole["memoryused"],
        "memoryutilization": percent(whole["memoryused"], whole["memory"]),
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
        "resources": {},
        "resourcesused": {},
        "resourcesfree": {},
        "state": worker.state.value,
        "lastheartbeat": round(worker.last_heartbeat * 1000),
    }


def app_json(app: AppView) -> Json:
    end = app.ended or time.time()
    return {
        "id": app.id,
        "starttime": round(app.submitted * 1000),
        "name": app.name,
        "cores": app.cores_max if app.cores_max is not None else UNLIMITED,
        "user": app.user,
        "memoryperexecutor": app.memory_mib,
        "memoryperslave": app.memory_mib,
        "resourcesperexecutor": [],
        "resourcesperslave": [],
        "submitdate": java_date(app.submitted),
        "state": app.state.value,
        "duration": round((end - app.submitted) * 1000),
    }


def driver_json(driver: DriverView) -> Json:
    return {
        "id": driver.id,
        "starttime": str(round(driver.submitted * 1000)),
        "state": driver.state.value,
        "cores": driver.cores,
        "memory": driver.memory_mib,
        "resources": {},
        "submitdate": java_date(driver.submitted),
        "worker": driver.worker_id or "None",
        "mainclass": driver.main_class or driver.main,
    }


def worker_page_json(page: WorkerPage) -> Json:
    """The worker's own ``/json/``."""
    return {
        "id": page.id,
        "masterurl": page.master_url,
        "masterwebuiurl": page.master_webui_url,
        "cores": page.cores,
        "coresused": page.cores_used,
        "memory": page.memory_mib,
        "memoryused": page.memory_used_mib,
        "resources": {},
        "resourcesused": {},
        "executors": [_executor_json(executor) for executor in page.executors],
        "finishedexecutors": [_executor_json(executor) for executor in page.finished_executors],
    }


def _executor_json(executor: ExecutorPage) -> Json:
    return {
        "id": executor.executor_id,
        "memory": executor.memory_mib,
        "resources": {},
        "appid": executor.app_id,
        "appdesc": {
            "name": executor.app_name,
            "cores": executor.cores,
            "memoryperexecutor": executor.memory_mib,
            "resourcesperexecutor": [],
            "memoryperslave": executor.memory_mib,
            "resourcesperslave": [],
            "user": executor.user,
            "command": " ".join(executor.command),
        },
    }


def java_date(seconds: float) -> str:
    """As java.util.Date prints it, which is what Spark puts there."""
    return time.strftime("%a %b %d %H:%M:%S %Z %Y", time.localtime(seconds))
