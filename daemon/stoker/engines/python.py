"""Which Python runs an engine's executors, and what is checked before it becomes the engine's worker.

The interpreter is ``spark.pyspark.python``, else PYSPARK_PYTHON of the driver, else PYSPARK_PYTHON of the worker (its
spark-env), else the driver's own if the worker has one at the same place, else ``python3``.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Exit codes of an executor that no retry on the same host will mend: bootstrap's, and the shell's for a Python that is
# not there or not executable.
UNFIT = frozenset({78, 126, 127})

_ELSE = 'if [ -z "$PYSPARK_PYTHON" ]; then if [ -x "$0" ]; then PYSPARK_PYTHON=$0; else PYSPARK_PYTHON=python3; fi; fi'
_CHOOSE = f'{_ELSE}; exec "$PYSPARK_PYTHON" "$@"'


def python_command(*words: str, python: str, package: str, version: str, module: str) -> tuple[str, ...]:
    """argv of an executor that runs ``module`` with ``words`` as ``python -m`` would, if its Python is of the driver's minor
    version and has that ``version`` of ``package``."""
    interpreter = (python,) if python else ("/bin/sh", "-c", _CHOOSE, sys.executable)
    bootstrap = Path(__file__).with_name("bootstrap.py").read_text()
    wanted = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return (*interpreter, "-c", bootstrap, wanted, package, version, module, *words)
