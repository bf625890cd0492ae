"""The role that brings Spark to the workers: from an archive, once, in a shape that the worker finds."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from stoker.engines.spark import find_home

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.ansible, pytest.mark.timeout(240)]


def archive(path: Path, *names: str) -> Path:
    """As Spark's are: everything in one folder."""
    tree = path.with_suffix(".tree")
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tree, "spark-of-some-name")
    return path


def install(home: Path, archives: dict[str, Path], *more: str) -> subprocess.CompletedProcess[str]:
    java = home / "java" / "bin" / "java"
    java.parent.mkdir(parents=True, exist_ok=True)
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    named = {version: str(path) for version, path in archives.items()}
    values = {
        "stoker_spark_versions": list(named),
        "stoker_spark_archives": named,
        "stoker_spark_dir": str(home / "spark"),
    }
    environment = {**os.environ, "HOME": str(home), "PATH": f"{java.parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    words = ["ansible-playbook", "playbooks/install-spark.yml", "-e", repr(values), *more]
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)


def test_versions_side_by_side_from_archives(tmp_path: Path) -> None:
    archives = {
        "4.3.0": archive(tmp_path / "spark.tgz", "jars/spark-core_2.13-4.3.0.jar", "bin/spark-submit"),
        "3.5.9": archive(
            tmp_path / "pyspark.tar.gz", "deps/jars/spark-core_2.12-3.5.9.jar", "deps/bin/x", "lib/pyspark.zip"
        ),
    }
    trial = install(tmp_path, archives, "--check")
    assert trial.returncode == 0, trial.stdout + trial.stderr
    assert not (tmp_path / "spark").exists()
    first = install(tmp_path, archives)
    assert first.returncode == 0, first.stdout + first.stderr
    homes = [tmp_path / "spark"]
    assert (find_home("4.3", homes) / "bin" / "spark-submit").exists()
    assert (find_home("3.5", homes) / "python" / "lib" / "pyspark.zip").exists()
    again = install(tmp_path, archives)
    assert again.returncode == 0 and re.search(r"changed=0\s", again.stdout), again.stdout


def test_without_a_java_it_says_what_to_do(tmp_path: Path) -> None:
    done = install(tmp_path, {}, "-e", '{"spark_env": {"JAVA_HOME": "/nowhere"}}')
    assert done.returncode != 0 and "stoker_spark_java_package" in done.stdout
