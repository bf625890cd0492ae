"""Checks of this machine: descriptors, disks, ports, control groups, programs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from stoker.client.doctor.daemons import running_daemons
from stoker.client.doctor.finding import Finding
from stoker.client.doctor.network import speaks_stoker
from stoker.config.common import listen_host, state_dir
from stoker.config.machine import cpu_quotas, memory_limits_mib, total_memory_mib
from stoker.config.sources import Settings
from stoker.config.types import DEFAULT_PORT, parse_free_disk, parse_port
from stoker.engines.spark import default_homes, find_java, version_of
from stoker.errors import Refused

FEWEST_FILES = 4096  # descriptors; each job needs about five, each client one
LEAST_FREE = "5%,2g"  # of the folders that are not a worker's
LEAST_FREE_FILES = 0.05  # part of the inodes
CGROUPS = Path("/sys/fs/cgroup")


def descriptors() -> list[Finding]:
    """Open files: the limits of the running daemons, else of this shell."""
    found = []
    for daemon in running_daemons():
        if daemon.file_limit < 0:
            continue
        name = f"{daemon.kind} (pid {daemon.pid})"
        text = f"{name} may open {daemon.file_limit} files" + (
            f", {daemon.files} are open" if daemon.files >= 0 else ""
        )
        if daemon.files > 0.8 * daemon.file_limit:
            found.append(Finding("descriptors", "problem", text, _more_files()))
        elif daemon.file_limit < FEWEST_FILES:
            found.append(Finding("descriptors", "warning", text, _more_files()))
        else:
            found.append(Finding("descriptors", "ok", text))
    if found:
        return found
    import resource  # noqa: PLC0415 - Unix

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"daemons started from this shell may open {soft} files"
    return [Finding("descriptors", "ok" if min(soft, hard) >= FEWEST_FILES else "warning", text, _more_files())]


def _more_files() -> str:
    return (
        f"raise it to {FEWEST_FILES} or more: LimitNOFILE of the unit, or 'ulimit -n' in the shell that starts daemons"
    )


def disks(settings: Settings) -> list[Finding]:
    """Room and write permission in the folders that daemons use. A worker's folders are judged as the worker does."""
    of_worker, others = settings.get("spark.stoker.worker.minFreeDisk"), parse_free_disk(LEAST_FREE)
    limits = {"work": parse_free_disk(of_worker), "scratch": parse_free_disk(of_worker)}
    return [
        finding
        for what, folder in _folders(settings).items()
        for finding in _disk(what, folder, limits.get(what.split()[0], others))
    ]


def _folders(settings: Settings) -> dict[str, Path]:
    state = state_dir(settings)
    home = settings.variable("SPARK_HOME")
    work = settings.variable("SPARK_WORKER_DIR")
    folders = {
        "state": state,
        "work": Path(work).absolute() if work else (Path(home).absolute() if home else state) / "work",
    }
    locals_ = settings.variable("SPARK_LOCAL_DIRS") or str(state / "local")
    for number, name in enumerate(part.strip() for part in locals_.split(",") if part.strip()):
        folders[f"scratch {number}" if number else "scratch"] = Path(name).absolute()
    for name in ("spark.deploy.recoveryDirectory", "spark.stoker.upload.directory"):
        if settings.is_set(name):
            folders[name] = Path(settings.get(name)).absolute()
    return folders


def _disk(what: str, folder: Path, least: tuple[float, int] | None) -> Iterator[Finding]:
    """``least``: percent and bytes; a disk with less than both is short of room. None: any room is enough."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    status = os.statvfs(there)
    free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
    percent = 100 * free / total if total else 100.0
    text = f"{folder} ({what}): {free / 2**30:.1f} GiB free, {percent:.0f} %"
    if not there.is_dir():
        yield Finding("disk", "problem", f"{there} is not a folder: {what} is to be {folder}", "name another folder")
    elif not os.access(there, os.W_OK | os.X_OK) and folder == there:
        yield Finding("disk", "problem", f"{folder} ({what}) is not writable for this user", "chown or chmod it")
    elif least is not None and percent < least[0] and free < least[1]:
        yield Finding("disk", "problem", text, "make room, or put the folder on another disk")
    elif status.f_files and status.f_favail / status.f_files < LEAST_FREE_FILES:
        yield Finding("disk", "problem", f"{text}, but few inodes", "remove small files there")
    else:
        yield Finding("disk", "ok", text)


def ports(settings: Settings) -> list[Finding]:
    """Whether the fixed ports of a master and a worker are free, or Stoker's."""
    host = listen_host(settings, settings.variable("SPARK_MASTER_HOST", "SPARK_MASTER_IP"))
    wanted = {
        "master": settings.parsed(parse_port, "SPARK_MASTER_PORT") or DEFAULT_PORT,
        "master's dashboard": settings.parsed(parse_port, "SPARK_MASTER_WEBUI_PORT")
        or settings.get("spark.master.ui.port"),
        "submissions over HTTP": settings.get("spark.master.rest.port"),
        "worker": settings.parsed(parse_port, "SPARK_WORKER_PORT") or 0,
        "worker's dashboard": settings.parsed(parse_port, "SPARK_WORKER_WEBUI_PORT")
        or settings.get("spark.worker.ui.port"),
    }
    kinds = {daemon.kind for daemon in running_daemons()}
    return [_port(what, host, port, kinds) for what, port in wanted.items() if port]


def _port(what: str, host: str, port: int, kinds: set[str]) -> Finding:
    kind = "worker" if what.startswith("worker") else "master"
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return Finding("ports", "ok", f"{port} ({what}) is free at {host}")
    except OSError as error:
        problem = error.strerror or str(error)
    if what == "master" and speaks_stoker(host, port):
        return Finding("ports", "ok", f"{port} ({what}): a master listens at {host}")
    if what != "master" and kind in kinds:
        return Finding("ports", "ok", f"{port} ({what}) is in use, and a {kind} runs here")
    fix = f"stop the program that listens there ('ss -ltnp'), or choose another port, if a {kind} shall run here"
    return Finding("ports", "warning", f"{port} ({what}) at {host}: {problem}", fix)


def control_groups() -> list[Finding]:
    """What the kernel offers to limit and to account jobs with."""
    memory, cores = total_memory_mib(), cpu_quotas()
    limits = [f"at most {memory} MiB" if memory in memory_limits_mib() else ""]
    limits += [f"at most {min(cores):g} cores" if cores else ""]
    inside = "".join(f", {text} for this group" for text in limits if text)
    if (CGROUPS / "cgroup.controllers").exists():
        names = (CGROUPS / "cgroup.controllers").read_text().split()
        lacking = [name for name in ("cpu", "memory", "pids") if name not in names]
        text = f"version 2 with {' '.join(names) or 'no controllers'}{inside}"
        fix = f"give this machine the controllers {', '.join(lacking)}, if jobs shall be limited" if lacking else ""
        return [Finding("control groups", "warning" if lacking else "ok", text, fix)]
    if CGROUPS.is_dir():
        fix = "boot with systemd.unified_cgroup_hierarchy=1, if jobs shall be limited"
        return [Finding("control groups", "warning", f"version 1{inside}", fix)]
    return [Finding("control groups", "warning", "none are mounted", "mount cgroup2 on /sys/fs/cgroup")]


def programs(settings: Settings) -> list[Finding]:
    """Python, Java and Spark, as a worker here finds them for jobs."""
    here = ".".join(map(str, sys.version_info[:3]))
    is_new = sys.version_info >= (3, 10)
    found = [
        Finding("python", "ok" if is_new else "problem", f"{here} at {sys.executable}", "" if is_new else "use 3.10")
    ]
    for name in ("spark.pyspark.python", "spark.pyspark.driver.python"):
        if settings.is_set(name):
            found.append(_python(name, settings.get(name)))
    return [*found, _java(settings.environ), *_spark(settings)]


def _python(name: str, program: str) -> Finding:
    path = shutil.which(program)
    if path is None:
        return Finding("python", "problem", f"{name} {program} is not on this machine", f"install it, or change {name}")
    answer = _asked([path, "-c", "import platform; print(platform.python_version())"])
    if not answer:
        return Finding("python", "problem", f"{name} {path} does not run", f"repair it, or change {name}")
    return Finding("python", "ok", f"{name}: {answer} at {path}")


def _java(environ: Mapping[str, str]) -> Finding:
    needed = "Spark applications and jars need it; others do not"
    try:
        path = find_java(environ)
    except Refused:
        home = environ.get("JAVA_HOME")
        if home:
            return Finding("java", "problem", f"no java in JAVA_HOME {home}", "correct JAVA_HOME in spark-env")
        return Finding("java", "ok", f"not found: {needed}")
    answer = _asked([path, "-version"])
    if not answer:
        return Finding("java", "problem", f"{path} does not run", f"repair it; {needed}")
    return Finding("java", "ok", f"{answer.replace(chr(34), '')} at {path}")


def _asked(command: list[str]) -> str:
    """Return the first line that the program prints within 5 s, or an empty text."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=5, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0][:100] if done.returncode == 0 and lines else ""


def _spark(settings: Settings) -> list[Finding]:
    text = settings.get("spark.stoker.spark.home")
    chosen = tuple(Path(part.strip()) for part in text.split(",") if part.strip())
    homes = chosen or default_homes(settings.variable("SPARK_HOME"))
    found = [
        Finding("spark", "ok", f"{'.'.join(map(str, version[:3]))} at {folder}")
        for home in homes
        for folder in [home, *sorted(home.iterdir() if home.is_dir() else [])]
        if folder.is_dir() and (version := version_of(folder)) is not None
    ]
    if found:
        return found
    if chosen:
        fix = "correct spark.stoker.spark.home: it names Spark distributions, or folders of them"
        return [Finding("spark", "problem", f"no Spark in {text}", fix)]
    return [Finding("spark", "ok", "not found: unmodified Spark applications need it on workers; others do not")]
