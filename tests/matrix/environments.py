"""Virtual environments of the slow tests, below ``build/spark-matrix``: made once, from the package index."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "build" / "spark-matrix"
UV = Path(sys.executable).with_name("uv")


@cache
def python_with(*packages: str, name: str) -> Path:
    """The interpreter of the environment ``name``, which has these packages (``pyspark==4.1.*``: 450 MB)."""
    python = FOLDER / name / "bin" / "python"
    if not python.exists():
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, FOLDER / name], check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, *packages], check=True)
    return python


def home_of(python: Path) -> Path:
    """The Spark in its package ``pyspark``."""
    words = [str(python), "-c", "import pyspark; print(pyspark.__path__[0])"]
    return Path(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())
