"""Apache Spark's programs on a worker: which Spark distribution runs them, and the ``java`` command (spec/spark-rpc).

Several versions may be installed side by side. A *home* is a folder with ``jars/spark-core_*.jar``: an unpacked
distribution, or the content of the ``pyspark`` package.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from stoker.core.model.redaction import is_secret
from stoker.core.model.values import RELEASE_PROPERTY, ApplicationDescription, DriverDescription, SparkProgram
from stoker.engines.launch import Launch, fill
from stoker.engines.spark_archive import Runtime, may_share, shared
from stoker.errors import Refused

SECRET = "_SPARK_AUTH_SECRET"  # noqa: S105 - where Spark's own worker puts spark.authenticate.secret for executors
_WRAPPER = "org.apache.spark.deploy.worker.DriverWrapper"
_SUBMIT = "org.apache.spark.deploy.SparkSubmit"
_PROPERTIES = ".spark.properties"
_OPTIONS = ".java-options"
_CORE = re.compile(r"spark-core_[0-9.]+-([0-9]+)\.([0-9]+)\.([0-9]+)(.*)\.jar")


def spark_executor(
    app: ApplicationDescription,
    substitutions: Mapping[str, str],
    *,
    memory_mib: int,
    homes: Sequence[Path],
    environ: Mapping[str, str],
    master_url: str,
    secret: str = "",
    archive_for: Callable[[Runtime, Sequence[str]], Path | None] = lambda runtime, java_options: None,
    view_for: Callable[[Path], Path] = lambda home: home,
) -> Launch:
    """Return argv and environment of an executor; its heap is ``memory_mib``. ``archive_for`` returns the class data it may
    use (``engines.spark_archive``), ``view_for`` the folder where its Python finds a Spark's files
    (``engines.spark_python``). Raises Refused when this machine lacks the Spark or the Java."""
    spark = app.spark
    assert spark is not None
    env = {**environ, "MASTER": master_url}
    env.update({name: fill(value, substitutions) for name, value in app.command.env.items()})
    if secret:
        env[SECRET] = secret
    asked = app.command.env.get("SPARK_HOME", "")
    home = find_home(spark.release, homes, asked=asked)
    main_class, *arguments = app.command.argv
    java, *options = java_command(spark, home, env, memory_mib=memory_mib, main_class=main_class)
    if not asked:
        env["SPARK_HOME"] = str(view_for(home))
    is_plain = not configured_class_path(home, env)
    archive = archive_for(Runtime(home, java), spark.java_options) if is_plain and may_share(app, env) else None
    argv = [java, *(shared(archive) if archive is not None else []), *options, *arguments]
    return Launch([fill(word, substitutions) for word in argv], env)


def spark_driver(
    driver: DriverDescription,
    folder: Path,
    *,
    environ: Mapping[str, str],
    master_url: str,
    worker_url: str = "",
    homes: Sequence[Path],
    secret: str = "",
) -> Launch:
    """Return argv and environment of a jar that Spark's old client submitted. Raises Refused.

    The client names ``DriverWrapper``, which exits when no worker of Spark listens at ``worker_url``. ``SparkSubmit`` does
    its work instead, with its properties and dependencies, as if it were called on this machine.
    """
    spark = driver.spark
    assert spark is not None
    jar = str(folder / driver.main)
    env = {**environ, "MASTER": master_url, **driver.env}
    if secret:
        env[SECRET] = secret
    own = f"-D{RELEASE_PROPERTY}="
    named = next((option.removeprefix(own) for option in spark.java_options if option.startswith(own)), "")
    home = find_home(".".join(named.split(".")[:2]) or spark.release, homes)
    words = [fill(word, {"WORKER_URL": worker_url, "USER_JAR": jar}) for word in driver.args]
    main_class = driver.main_class
    jars = [jar]
    files: dict[str, str] = {}
    if main_class == _WRAPPER and len(words) > 2:
        spark, files = _apart(spark)
        main_class = _SUBMIT
        jars = []  # SparkSubmit loads the jar with its dependencies; on the JVM's own class path it would not see them
        properties = str(folder / _PROPERTIES)
        words = ["--deploy-mode", "client", "--properties-file", properties, "--class", words[2], jar, *words[3:]]
    argv = java_command(spark, home, env, memory_mib=driver.memory_mib, main_class=main_class, jars=jars)
    return Launch([*argv, *words], env, files)


def _apart(spark: SparkProgram) -> tuple[SparkProgram, dict[str, str]]:
    """Move Spark's properties, which may be secrets, from the JVM's options to a properties file of ``SparkSubmit``."""
    own = [option for option in spark.java_options if option.startswith("-Dspark.")]
    others = tuple(option for option in spark.java_options if option not in own)
    lines = [_property_line(option.removeprefix("-D")) for option in own]
    return msgspec.structs.replace(spark, java_options=others), {_PROPERTIES: "".join(lines)}


def _property_line(setting: str) -> str:
    """Return ``name=value`` as java.util.Properties reads it."""
    name, _, value = setting.partition("=")
    return f"{_escaped(name)}={_escaped(value)}\n"


def _escaped(text: str) -> str:
    controls = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
    return "".join(controls.get(c) or (f"\\{c}" if c in "\\ :=#!" else c) for c in text)


def java_properties(options: Sequence[str], java: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return ``-Dname=value`` options as words for ``java``, and the files they refer to: one with the properties that Spark
    regards as secrets. Java 8 cannot read such a file: there all stay on the command line."""
    secret = [option for option in options if is_secret(option.partition("=")[0])]
    if not secret or not (Path(java).resolve().parents[1] / "lib" / "modules").exists():
        return list(options), {}
    lines = ['"' + option.replace("\\", "\\\\").replace('"', '\\"') + '"\n' for option in secret]
    public = [option for option in options if option not in secret]
    return [*public, f"@{folder / _OPTIONS}"], {_OPTIONS: "".join(lines)}


def java_command(
    spark: SparkProgram, home: Path, env: dict[str, str], *, memory_mib: int, main_class: str, jars: Sequence[str] = ()
) -> list[str]:
    """Return the words up to the main class, and put the variables of ``home`` into ``env``. Raises Refused without Java."""
    java = find_java(env)
    env["SPARK_HOME"] = str(home)
    if spark.library_path:
        known = filter(None, [env.get("LD_LIBRARY_PATH")])
        env["LD_LIBRARY_PATH"] = os.pathsep.join([*spark.library_path, *known])
    before, after = configured_class_path(home, env)
    class_path = os.pathsep.join([*jars, *spark.class_path, *before, f"{home}/jars/*", *after])
    heap = [f"-Xmx{memory_mib}M"] if memory_mib else []
    return [java, "-cp", class_path, *heap, *spark.java_options, main_class]


class ClassPath(NamedTuple):
    """Entries that this machine's configuration adds ``before`` and ``after`` Spark's own jars."""

    before: list[str]
    after: list[str]

    def __bool__(self) -> bool:
        return bool(self.before or self.after)


def configured_class_path(home: Path, env: Mapping[str, str]) -> ClassPath:
    """Return what Spark's launcher adds: ``conf`` of the Spark (core-site.xml, hive-site.xml, log4j2.properties), and entries
    of the environment. A ``conf`` with templates only is left out: with it, executors share no archive."""
    conf = home / "conf"
    named = (env.get(name, "") for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_DIST_CLASSPATH"))
    return ClassPath([str(conf)] if _has_files(conf) else [], [entry for entry in named if entry])


def _has_files(conf: Path) -> bool:
    try:
        return any(entry.suffix != ".template" for entry in conf.iterdir())
    except OSError:
        return False


def python_path(home: Path) -> list[str]:
    """Return where a driver's Python finds ``pyspark`` and py4j of the Spark in ``home``."""
    lib = home / "python" / "lib"
    return (
        [str(lib / "pyspark.zip"), *map(str, sorted(lib.glob("py4j-*.zip")))] if (lib / "pyspark.zip").exists() else []
    )


def find_java(env: Mapping[str, str]) -> str:
    """Return ``java`` of JAVA_HOME, else of PATH. Raises Refused."""
    home = env.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else shutil.which("java", path=env.get("PATH"))
    if java is None or not Path(java).exists():
        raise Refused("no Java on this worker: install a JRE there, or set JAVA_HOME in its spark-env")
    return java


def find_home(release: str, homes: Sequence[Path], *, asked: str = "") -> Path:
    """Return the newest Spark of that release in ``homes`` and the folders in them. ``release``: ``4.3``, or ``4.2|4.1`` for
    either, of which one must be here. ``asked``: the application's ``spark.executorEnv.SPARK_HOME``. Raises Refused, saying
    what to install or to set."""
    if asked:
        if version_of(Path(asked)) is None:
            raise Refused(
                f"no Spark in {asked} on this worker, which the application names: correct its"
                " spark.executorEnv.SPARK_HOME"
            )
        return Path(asked)
    found = {home: version for home in _candidates(homes) if (version := version_of(home)) is not None}
    fitting = {
        wanted: homes_of
        for wanted in release.split("|")
        if (homes_of := [home for home, version in found.items() if f"{version[0]}.{version[1]}" == wanted])
    }
    if len(fitting) == 1:
        [homes_of] = fitting.values()
        return max(homes_of, key=lambda home: found[home])
    if fitting:
        both = " or ".join(fitting)
        raise Refused(
            f"unknown release of Spark ({both}), and this worker has both: set"
            f" {RELEASE_PROPERTY} (a driver's) or spark.executorEnv.SPARK_HOME (an application's)"
        )
    here = ", ".join(sorted(".".join(map(str, version[:3])) for version in found.values())) or "none"
    wanted = release.replace("|", " or ")
    raise Refused(
        f"no Spark {wanted} on this worker (installed: {here}): install it and name its folder in"
        " spark.stoker.spark.home"
    )


def any_home(homes: Sequence[Path], *, preferred: str = "") -> Path | None:
    """Return a Spark for a program that may need one: the newest of the release ``preferred`` (``4.3.0`` or ``4.3``), else
    the newest of all; None without any."""
    found = {home: version for home in _candidates(homes) if (version := version_of(home)) is not None}
    wanted = preferred.split(".")[:2]
    fitting = {home for home, version in found.items() if [str(version[0]), str(version[1])] == wanted}
    return max(fitting or found, key=lambda home: found[home], default=None)


def _candidates(homes: Iterable[Path]) -> Iterator[Path]:
    for home in homes:
        yield home
        if not (home / "jars").is_dir() and home.is_dir():
            yield from (child for child in sorted(home.iterdir()) if child.is_dir())


def version_of(home: Path) -> tuple[int, int, int, str] | None:
    """Return the version of the Spark in ``home``; None without a Spark."""
    try:
        names = [entry.name for entry in os.scandir(home / "jars")]
    except OSError:
        return None
    for match in filter(None, map(_CORE.fullmatch, names)):
        return int(match[1]), int(match[2]), int(match[3]), match[4]
    return None


def default_homes(spark_home: str | None) -> tuple[Path, ...]:
    """Return the homes without a setting: $SPARK_HOME, and the package ``pyspark`` installed beside Stoker."""
    homes = [Path(spark_home).absolute()] if spark_home else []
    package = importlib.util.find_spec("pyspark")
    if package is not None and package.origin is not None:
        homes.append(Path(package.origin).parent)
    return tuple(homes)
