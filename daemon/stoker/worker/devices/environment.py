"""How a job learns which named resources it holds: variables, ``{{GPUS}}``, and Spark's file of addresses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from stoker.core.model.resources import GPU, Addresses
from stoker.core.model.values import ApplicationDescription, DriverDescription
from stoker.engines.launch import Launch, fill

FILE = ".resources.json"  # in the job's folder, in the form that Spark's executors and drivers read
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def gpus_of(resources: Addresses) -> str:
    """Return the addresses of the job's GPUs, separated by commas: what ``{{GPUS}}`` stands for."""
    return ",".join(dict(resources).get(GPU, ()))


def variables(held: Addresses, offered: Addresses) -> Mapping[str, str]:
    """Return the variables of a job that holds ``held`` on a worker with ``offered``. Where the worker offers GPUs, a job
    without one sees none."""
    found = {}
    if held or offered:
        found["STOKER_RESOURCES"] = json.dumps(dict(held))
    if GPU in dict(held) or GPU in dict(offered):
        found |= dict.fromkeys(_VISIBLE, gpus_of(held))
        found["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as nvidia-smi numbers them
    return found


def driver_with(driver: DriverDescription, held: Addresses, folder: Path) -> DriverDescription:
    """Return the driver with ``{{GPUS}}`` in its arguments replaced and with Spark's property that names the file."""
    args = tuple(fill(word, {"GPUS": gpus_of(held)}) for word in driver.args)
    if not held:
        return msgspec.structs.replace(driver, args=args)
    name, file = "spark.driver.resourcesFile", str(folder / FILE)
    spark = driver.spark
    if spark is not None:
        spark = msgspec.structs.replace(spark, java_options=(*spark.java_options, f"-D{name}={file}"))
    return msgspec.structs.replace(driver, args=args, conf={**driver.conf, name: file}, spark=spark)


def application_with(app: ApplicationDescription, held: Addresses, folder: Path) -> ApplicationDescription:
    """Return a Spark application with the argument of its executors that names the file; others as they are."""
    if app.spark is None or not held:
        return app
    command = msgspec.structs.replace(app.command, argv=(*app.command.argv, "--resourcesFile", str(folder / FILE)))
    return msgspec.structs.replace(app, command=command)


def with_file(launch: Launch, held: Addresses, component: str) -> Launch:
    """Add the file of addresses; ``component`` is ``spark.executor`` or ``spark.driver``."""
    entries = [
        {"id": {"componentName": component, "resourceName": name}, "addresses": addresses} for name, addresses in held
    ]
    return launch._replace(files={**launch.files, FILE: json.dumps(entries)}) if held else launch
