# Starts an engine's executor. Python gets it as text (``-c``), because that Python need not have Stoker, and may be of any
# version. It runs MODULE if this Python is what the driver needs, else it prints what is wrong and exits as UNFIT:
#   PYTHON-VERSION PACKAGE VERSION MODULE ARGUMENTS...
import importlib
import os
import runpy
import sys


def refuse(why: str) -> None:
    sys.stderr.write(f"stoker: {sys.executable} {why}\n")
    sys.exit(78)  # EX_CONFIG


if __name__ == "__main__":
    python, package, version, module = sys.argv[1:5]
    here: str = ".".join(map(str, sys.version_info[:2]))
    if here != python:
        refuse(f"is Python {here}, the driver's is {python}: set PYSPARK_PYTHON to a Python {python} of the workers")
    try:
        found = importlib.import_module(package).__version__
    except ImportError as error:
        fix: str = f"pip install {package}=={version} there, or set PYSPARK_PYTHON to another Python"
        refuse(f"cannot import {package} ({error}): {fix}")
    if found != version:
        refuse(f"has {package} {found}, the driver has {version}: install the same on both")
    scratch: str | None = os.environ.get("SPARK_EXECUTOR_DIRS")
    if scratch:  # removed when the application has ended
        os.environ["TMPDIR"] = scratch.split(os.pathsep)[0]
    sys.argv[:5] = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
