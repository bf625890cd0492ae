"""Class data that Spark's executors share (AppCDS, ADR 16): which archive an executor may use, and how to make one.

A JVM with a dynamic archive (Java 17 or newer) maps its classes instead of reading them from 300 MB of jars. The JVM checks
that its build and the head of its class path are those of the archive, and ignores the archive if not.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from stoker.core.model.values import ApplicationDescription

OLDEST_JAVA = 17
HEAP_MIB = 512  # of the JVM that makes an archive; Spark starts with no less than 450
# This program, which all releases of Spark have, runs a job and writes its result: it loads the classes that executors load.
_PROGRAM = "org.apache.spark.mllib.util.SVMDataGenerator"
# Options that may concern archives; two of them together can prevent a JVM's start.
_OWN = re.compile(r"@|-Xshare|-XX:(Flags|VMOptionsFile)=|-XX:[+-]?\w*(Archive|SharedSpaces|ClassList|AOT|DynamicDump)")
_OPTIONS_FROM_ENVIRONMENT = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
_CHOOSE_ANOTHER = ("SPARK_HOME", "JAVA_HOME", "PATH")  # variables by which an application chooses its Spark or Java


class Runtime(NamedTuple):
    """The Spark in the folder ``home``, run by the program ``java``."""

    home: Path
    java: str

    def key(self) -> str:
        """Return the archive's name, which changes with the jars and the Java; empty when this Java has no such archives.
        Raises OSError when one of the two is missing."""
        java = Path(self.java).resolve().parent.parent
        release = (java / "release").read_text(errors="replace")
        version = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
        if version is None or int(version[1]) < OLDEST_JAVA:
            return ""
        words = [
            str(self.home),
            str(java),
            release,
            *map(_stamp, (java / "lib" / "modules", java / "lib/server/libjvm.so")),
        ]
        with os.scandir(self.home / "jars") as entries:  # in the order in which the JVM puts them into its class path
            words += [_stamp(entry) for entry in entries]
        return hashlib.sha256("\0".join(words).encode(errors="surrogateescape")).hexdigest()[:32]


def _stamp(entry: Path | os.DirEntry[str]) -> str:
    status = entry.stat()
    return f"{entry.name} {status.st_size} {status.st_mtime_ns}"


def may_share(app: ApplicationDescription, env: Mapping[str, str]) -> bool:
    """Return whether an executor may use an archive: it has only Spark's classes, the worker's Spark and Java, and no options
    of the user about archives. ``env`` is the executor's environment."""
    spark = app.spark
    if spark is None or spark.class_path or any(name in app.command.env for name in _CHOOSE_ANOTHER):
        return False
    from_environment = (word for name in _OPTIONS_FROM_ENVIRONMENT for word in env.get(name, "").split())
    return not any(_OWN.match(word) for word in (*spark.java_options, *from_environment))


def shared(archive: Path) -> list[str]:
    """Return the option for an executor; none when the path holds a separator."""
    return [] if os.pathsep in str(archive) else [f"-XX:SharedArchiveFile={archive}"]


def maker_argv(runtime: Runtime, java_options: Iterable[str], archive: Path) -> list[str]:
    """Return a command that writes ``archive`` and exits, at the lowest priority. It makes files in its working directory.

    ``java_options`` are an executor's; only those that open Java's modules are used. The ports that it opens for some seconds
    are on loopback and need a secret.
    """
    settings = {
        "spark.authenticate": "true",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    modules = [option for option in java_options if option.startswith("--add-")]
    properties = [f"-D{name}={value}" for name, value in settings.items()]
    java = [runtime.java, "-cp", f"{runtime.home}/jars/*", f"-Xmx{HEAP_MIB}M", *modules, *properties]
    return ["nice", "-n", "19", *java, f"-XX:ArchiveClassesAtExit={archive}", _PROGRAM, "local[1]", "out"]


def maker_environment(runtime: Runtime, environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return its environment; ``folder`` is its working directory."""
    own = {"SPARK_HOME": str(runtime.home), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(folder)}
    return {**environ, **own}
