"""How a driver becomes a process: argv and environment, by its kind. Used by workers, and by ``submit --deploy-mode
client`` on the submitter's own machine."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from stoker.core.model.limits import DISK_VARIABLE, EXECUTOR_DISK_PROPERTY
from stoker.core.model.pools import EXECUTOR_POOL, POOL_VARIABLE, PRIORITY_VARIABLE
from stoker.core.model.profiles import EXECUTOR_MIN_EXECUTORS, MIN_EXECUTORS_PROPERTY, MIN_EXECUTORS_VARIABLE
from stoker.core.model.resources import EXECUTORS_VARIABLE, amounts_in, listed
from stoker.core.model.values import RELEASE_PROPERTY, DriverDescription
from stoker.engines.launch import Launch
from stoker.engines.spark import any_home, configured_class_path, find_java, java_properties
from stoker.engines.spark import python_path as pyspark_path

# Runs one entry point, ``module`` or ``module:function``, found on PYTHONPATH; the rest of argv is the program's.
_ENTRY_POINT = (
    "import importlib,runpy,sys;n=sys.argv.pop(1);m,_,f=n.partition(':');sys.argv[0]=n;"
    "sys.exit(getattr(importlib.import_module(m),f)()) if f else runpy.run_module(m,run_name='__main__',alter_sys=True)"
)


# The JVM that pyspark starts is on the driver's own machine, and has the driver's files.
_NOT_FOR_PROGRAMS = frozenset({"spark.master", "spark.submit.deployMode", "spark.submit.pyFiles", "spark.files"})


def driver_launch(
    driver: DriverDescription,
    folder: Path,
    *,
    environ: Mapping[str, str],
    master_url: str,
    worker_url: str = "",
    homes: Sequence[Path] = (),
) -> Launch:
    """Return argv and environment of a driver whose files are in ``folder``. It inherits ``environ``; in ``homes`` a jar
    finds Spark's classes, and a Python program ``pyspark``. Raises Refused when this machine cannot run it."""
    main = str(folder / driver.main)
    args = [word.replace("{{WORKER_URL}}", worker_url).replace("{{USER_JAR}}", main) for word in driver.args]
    env = {**environ, "MASTER": master_url}
    env.update(_conf_environment(driver.conf))
    if driver.pool:
        env[POOL_VARIABLE] = driver.pool
    driver = msgspec.structs.replace(driver, conf=_for_executors(driver))
    if driver.priority:
        env[PRIORITY_VARIABLE] = str(driver.priority)
    env.update(driver.env)
    python_path = [str(folder / name) for name in driver.py_files]
    if driver.kind == "program":
        return Launch([main, *args], env)
    if driver.kind == "jar":
        java, files = _java(driver, folder, env, homes)
        return Launch([*java, *args], env, files)
    python = _driver_python(driver.conf, env)
    if executors := driver.conf.get("spark.pyspark.python"):
        env["PYSPARK_PYTHON"] = executors  # pyspark reads only the variable
    env.setdefault("PYTHONUNBUFFERED", "1")
    env.setdefault("PYSPARK_SUBMIT_ARGS", _submit_args({"spark.master": env["MASTER"], **driver.conf}))
    spark = None if "SPARK_HOME" in driver.env else any_home(homes, preferred=driver.conf.get(RELEASE_PROPERTY, ""))
    if spark is not None:
        env["SPARK_HOME"] = str(spark)
    if driver.kind == "archive" and (driver.main_class or driver.main.endswith(".whl")):
        python_path.insert(0, main)
        words = [python, "-c", _ENTRY_POINT, driver.main_class]
    else:
        words = [python, main]
    if driver.py_files:  # for the executors of an application of its own
        env["STOKER_PY_FILES"] = ",".join(str(folder / name) for name in driver.py_files)
    if spark is not None:
        python_path += pyspark_path(spark)
    if python_path:
        env["PYTHONPATH"] = os.pathsep.join([*python_path, *filter(None, [env.get("PYTHONPATH")])])
    return Launch([*words, *args], env)


def _java(
    driver: DriverDescription, folder: Path, env: dict[str, str], homes: Sequence[Path]
) -> tuple[list[str], dict[str, str]]:
    """Return the words up to the main class, and the files they refer to."""
    class_path = [str(folder / name) for name in (driver.main, *driver.jars)]
    spark = any_home(homes, preferred=driver.conf.get(RELEASE_PROPERTY, ""))
    if spark is not None:
        before, after = configured_class_path(spark, env)
        class_path += [*before, f"{spark}/jars/*", *after]
        env["SPARK_HOME"] = str(spark)
    conf = {"spark.master": env["MASTER"], **driver.conf}
    words = [f"-D{name}={value}" for name, value in sorted(conf.items()) if name.startswith("spark.")]
    java = find_java(env)
    properties, files = java_properties(words, java, folder)
    heap = [f"-Xmx{driver.memory_mib}m"] if driver.memory_mib else []
    words = [java, "-cp", os.pathsep.join(class_path), *heap, *driver.java_options, *properties, driver.main_class]
    return words, files


def _driver_python(conf: Mapping[str, str], env: Mapping[str, str]) -> str:
    """Return the interpreter, in Spark's order: properties before variables, the driver's before the executors'."""
    properties = (conf.get(f"spark.pyspark.{name}") for name in ("driver.python", "python"))
    variables = (env.get(name) for name in ("PYSPARK_DRIVER_PYTHON", "PYSPARK_PYTHON"))
    return next(filter(None, (*properties, *variables)), sys.executable)


def _submit_args(conf: Mapping[str, str]) -> str:
    """Return the variable by which pyspark passes properties on to the JVM that it starts."""
    words = ["--master", conf["spark.master"]]
    for name, value in sorted(conf.items()):
        if name.startswith("spark.") and name not in _NOT_FOR_PROGRAMS:
            words += ["--conf", f"{name}={value}"]
    return shlex.join([*words, "pyspark-shell"])


def _for_executors(driver: DriverDescription) -> dict[str, str]:
    """Return the properties of a Spark program: its executors are in its pool, and its gang is the submission's."""
    told = {EXECUTOR_POOL: driver.pool, EXECUTOR_MIN_EXECUTORS: driver.conf.get(MIN_EXECUTORS_PROPERTY, "")}
    return {**{name: value for name, value in told.items() if value}, **driver.conf}


def _conf_environment(conf: Mapping[str, str]) -> dict[str, str]:
    """Return the submission's limits as variables, for programs that start applications."""
    names = {
        "spark.cores.max": "STOKER_CORES_MAX",
        "spark.executor.cores": "STOKER_EXECUTOR_CORES",
        "spark.executor.memory": "STOKER_EXECUTOR_MEMORY",
        EXECUTOR_DISK_PROPERTY: DISK_VARIABLE,
        MIN_EXECUTORS_PROPERTY: MIN_EXECUTORS_VARIABLE,
    }
    found = {variable: conf[name] for name, variable in names.items() if name in conf}
    try:
        named = listed(amounts_in(conf, "spark.executor"))
    except ValueError:  # the program gets the property itself, and says what is wrong with it
        return found
    return {**found, EXECUTORS_VARIABLE: named} if named else found
