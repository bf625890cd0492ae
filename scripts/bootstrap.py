#!/usr/bin/env python3
"""bootstrap.py controller | tests | engines: make the checkout's virtual environment; needs only git, make and python3.

It fetches uv, a single program, from the package index that pip is set up for, in the version that
requirements/controller.lock pins. uv then installs requirements/WHAT.lock and this checkout. Downloads are kept in ~/.cache;
a later run needs no index for them. Neither pip nor venv is needed. Driving a cluster needs Python 3.11 or newer.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pip_index import Index, Link, Settings, UnusableIndex

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
VENV = ROOT / ".venv"
STAMPS = ("controller", "tests", "engines")  # each includes those before it
# The size of each lock's packages: (MB to download, MB on disk); tests/install/test_bootstrap.py compares.
SIZES = {"controller": (40, 90), "tests": (100, 300), "engines": (850, 1600)}
PYTHON = (3, 11)


class BootstrapError(Exception):
    """The bootstrap failed; the text is one line for the user."""


def main(words: list[str]) -> int:
    if len(words) != 1 or words[0] not in STAMPS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        find_python()
        install(words[0])
    except BootstrapError as error:
        print(f"stoker: {error}", file=sys.stderr)
        return 1
    except UnusableIndex as error:
        fix = "set PIP_INDEX_URL, or index-url in pip.conf, to one that this machine reaches"
        print(f"stoker: cannot reach the package index: {error}; {fix}", file=sys.stderr)
        return 1
    return 0


def find_python() -> None:
    """Run this program with a newer Python if this one is too old. Raises BootstrapError."""
    if sys.version_info >= PYTHON:
        return
    for minor in range(20, PYTHON[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            os.execv(found, [found, *sys.argv])  # noqa: S606
    raise BootstrapError(
        f"Python 3.11 or newer is needed to drive a cluster; python3 here is {platform.python_version()}"
    )


def install(what: str) -> None:
    """Make or complete .venv. Raises BootstrapError, UnusableIndex."""
    settings = Settings(os.environ)
    uv = find_uv(settings)
    if not (VENV / "bin" / "python").exists():
        shutil.rmtree(VENV, ignore_errors=True)
        words = [str(uv), "venv", "--quiet", "--no-python-downloads", "--python", sys.executable, "--prompt", "stoker"]
        run([*words, str(VENV)], settings.for_uv())
    lock = LOCKS / f"{what}.lock"
    words = [str(uv), "pip", "install", "--python", str(VENV), "--require-hashes", "--requirements", str(lock)]
    words += settings.words_for_uv
    env = settings.for_uv()
    env["UV_FIND_LINKS"] = ",".join(filter(None, [env.get("UV_FIND_LINKS"), str(uv.parent)]))  # uv's own wheel
    download, disk = SIZES[what]
    count = len(re.findall(r"^[\w.\-]+==", lock.read_text(), re.MULTILINE))
    print(f"Installing {count} packages of requirements/{lock.name} into .venv ({disk} MB) ...", flush=True)
    if subprocess.run([*words, "--offline", "--quiet"], env=env, stderr=subprocess.DEVNULL, check=False).returncode:
        next(Index(settings).links("uv"), None)  # fails with one line if no index is reachable; uv prints ten
        print(f"Downloading up to {download} MB from {origin(settings)}; it is kept in uv's cache", flush=True)
        run([*words], env, is_shown=True)
    here = ["--no-index", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    run([str(uv), "pip", "install", "--quiet", "--python", str(VENV), *here], env)
    for stamp in STAMPS[: STAMPS.index(what) + 1]:
        (VENV / f".{stamp}").touch()


def run(words: list[str], env: dict[str, str], *, is_shown: bool = False) -> None:
    """Run a command. Raises BootstrapError with its stderr in one line."""
    done = subprocess.run(words, env=env, stderr=None if is_shown else subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        said = " ".join(line.strip() for line in (done.stderr or "the lines above say why").splitlines())
        raise BootstrapError(f"the packages could not be installed: {said}")


def shown(url: str) -> str:
    """Return the URL without user and password."""
    return re.sub(r"//[^/@]*@", "//", url)


def origin(settings: Settings) -> str:
    """Return the source of packages, for messages; empty with pip's no-index and without find-links."""
    return shown(settings.index if settings.indexes else " ".join(settings.many("find-links")))


# --- uv ---


def find_uv(settings: Settings) -> Path:
    """Return the path of uv and fetch it if needed; its wheel is beside it. Raises BootstrapError, UnusableIndex."""
    version, hashes = pinned()
    name = f"uv-{version}-{platform.system()}-{platform.machine()}".lower()
    for folder in caches(settings.environ):
        if os.access(folder / name / "uv", os.X_OK):
            return folder / name / "uv"
    if origin(settings):
        print(f"Fetching uv {version} from {origin(settings)} ...", flush=True)
    link, wheel = fetch(Index(settings), version, hashes)
    problem = OSError()
    for folder in caches(settings.environ):
        try:
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / link.name).write_bytes(wheel)
            part = folder / name / f".uv.{os.getpid()}"
            part.write_bytes(extract(wheel))
            part.chmod(0o755)
            part.replace(folder / name / "uv")
            return folder / name / "uv"
        except OSError as error:
            problem = error
    raise BootstrapError(f"no place to keep uv: {problem.filename}: {problem.strerror}")


def caches(environ: Mapping[str, str]) -> list[Path]:
    """Return the folders where uv may be kept: the user's cache first, then the checkout."""
    found = [ROOT / "build" / "bootstrap"]
    if environ.get("XDG_CACHE_HOME"):
        return [Path(environ["XDG_CACHE_HOME"], "stoker"), *found]
    return [Path(environ["HOME"], ".cache", "stoker"), *found] if environ.get("HOME") else found


def pinned() -> tuple[str, list[str]]:
    """Return the version of uv and the hashes of its files, from the lock."""
    entry = re.search(
        r"^uv==(\S+)((?: \\\n\s+--hash=sha256:[0-9a-f]{64})+)", (LOCKS / "controller.lock").read_text(), re.M
    )
    if entry is None:
        raise BootstrapError(
            "requirements/controller.lock does not pin uv with hashes: run 'git checkout requirements'"
        )
    return entry.group(1), re.findall(r"[0-9a-f]{64}", entry.group(2))


def fetch(index: Index, version: str, hashes: list[str]) -> tuple[Link, bytes]:
    """Download the wheel for this machine that has one of the hashes. Raises BootstrapError, UnusableIndex."""
    problem: Exception | None = None
    for link in index.links("uv"):
        if not is_for_here(link, version) or (link.sha256 and link.sha256 not in hashes):
            continue
        try:
            data = index.download(link)
        except UnusableIndex as error:
            problem = error
            continue
        if hashlib.sha256(data).hexdigest() in hashes:
            return link, data
        problem = BootstrapError(f"{shown(link.url)} is not the file that requirements/controller.lock pins")
    raise problem or BootstrapError(
        f"{origin(index.settings)} has no uv {version} for {platform.system()} on {platform.machine()}:"
        " set PIP_INDEX_URL to an index that has it"
    )


def is_for_here(link: Link, version: str) -> bool:
    machine = platform.machine().lower()
    linux = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    system = "macosx" if platform.system() == "Darwin" else linux
    return (
        link.name.startswith(f"uv-{version}-") and f"{system}_" in link.name and link.name.endswith(f"_{machine}.whl")
    )


def extract(wheel: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".data/scripts/uv")]
        return archive.read(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
