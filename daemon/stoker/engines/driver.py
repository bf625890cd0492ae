"""How a driver becomes a process: argv and environment, by its kind. Used by workers, and by ``submit --deploy-mode
client`` on the submitter's own machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from stoker.core.values import DriverDescription
from stoker.engines.launch import Launch
from stoker.engines.spark import find_java

# Runs one entry point, ``module`` or ``module:function``, of what is on PYTHONPATH; the rest of argv is the program's.
_ENTRY_POINT = (
    "import importlib,runpy,sys;n=sys.argv.pop(1);m,_,f=n.partition(':');sys.argv[0]=n;"
    "sys.exit(getattr(importlib.import_module(m),f)()) if f else runpy.run_module(m,run_name='__main__',alter_sys=True)"
)


def driver_launch(
    driver: DriverDescription,
    folder: Path,
    *,
    environ: Mapping[str, str],
    master_url: str,
    worker_url: str = "",
) -> Launch:
    """argv and environment of a driver whose files are in ``folder``; ``environ`` is what it inherits. Raises Refused when
    this machine cannot run it."""
    main = str(folder / driver.main)
    args = [word.replace("{{WORKER_URL}}", worker_url).replace("{{USER_JAR}}", main) for word in driver.args]
    env = {**environ, "MASTER": master_url}
    env.update(_conf_environment(driver.conf))
    env.update(driver.env)
    python_path = [str(folder / name) for name in driver.py_files]
    if driver.kind == "program":
        return Launch([main, *args], env)
    if driver.kind == "jar":
        return Launch([*_java(driver, folder, env), *args], env)
    python = env.get("PYSPARK_PYTHON") or driver.conf.get("spark.pyspark.python") or sys.executable
    env.setdefault("PYTHONUNBUFFERED", "1")
    if driver.kind == "archive" and (driver.main_class or driver.main.endswith(".whl")):
        python_path.insert(0, main)
        words = [python, "-c", _ENTRY_POINT, driver.main_class]
    else:
        words = [python, main]
    if python_path:
        env["PYTHONPATH"] = os.pathsep.join([*python_path, *filter(None, [env.get("PYTHONPATH")])])
    return Launch([*words, *args], env)


def _java(driver: DriverDescription, folder: Path, env: Mapping[str, str]) -> list[str]:
    class_path = os.pathsep.join(str(folder / name) for name in (driver.main, *driver.jars))
    properties = [f"-D{name}={value}" for name, value in sorted(driver.conf.items()) if name.startswith("spark.")]
    heap = [f"-Xmx{driver.memory_mib}m"] if driver.memory_mib else []
    return [find_java(env), "-cp", class_path, *heap, *driver.java_options, *properties, driver.main_class]


def _conf_environment(conf: Mapping[str, str]) -> dict[str, str]:
    """The submission's limits, for programs that start applications of their own."""
    names = {
        "spark.cores.max": "STOKER_CORES_MAX",
        "spark.executor.cores": "STOKER_EXECUTOR_CORES",
        "spark.executor.memory": "STOKER_EXECUTOR_MEMORY",
    }
    return {variable: conf[name] for name, variable in names.items() if name in conf}
