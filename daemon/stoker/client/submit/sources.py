"""The files of a submission: what a name on the command line means, and what has to be uploaded for it.

A name is a path here, uploaded to the master, or a URL that the worker fetches (``http: https: hdfs: webhdfs: s3:``), copies
(``file:``) or uses in place (``local:``).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from stoker.core.model.values import REMOTE_SCHEMES, Artifact, DriverKind
from stoker.errors import UsageError
from stoker.io.disk import sha256_of

SCHEMES = ("file", "local", *REMOTE_SCHEMES)
PY_FILES = (".py", ".zip", ".egg", ".whl")
RESERVED = frozenset({"stdout", "stderr"})  # the program's output has these names in the same directory

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_KINDS: dict[str, DriverKind] = {".py": "python", ".pyz": "archive", ".whl": "archive", ".jar": "jar"}


class Source(msgspec.Struct, frozen=True):
    """A file of a submission; ``path`` is where it is here, None for one that the worker finds."""

    artifact: Artifact
    path: Path | None


class FileIndex:
    """Files by path and their SHA-256, remembered while they do not change: a program that is submitted again and again
    is read once. ``path_of`` finds what an upload has to send."""

    def __init__(self, check_size: Callable[[Path, int], None] = lambda path, size: None) -> None:
        """``check_size`` gets a file and its bytes before the file is read, and may raise what ``source`` then raises."""
        self._check_size = check_size
        self._known: dict[Path, tuple[tuple[int, int, int, int], str]] = {}
        self._paths: dict[str, Path] = {}

    def source(self, name: str, *, executable: bool | None = None) -> Source:
        """What ``name`` stands for. ``executable`` None: as it is here. Raises UsageError."""
        if is_url(name):
            return Source(_remote(name, executable=bool(executable)), None)
        path = Path(name).absolute()
        status = _regular(name, path)
        if executable is None:
            executable = bool(status.st_mode & 0o111)
        artifact = Artifact(
            name=_checked(path.name), sha256=self._digest(path, status), size=status.st_size, executable=executable
        )
        self._paths[artifact.sha256] = path
        return Source(artifact, path)

    def path_of(self, sha256: str) -> Path:
        return self._paths[sha256]

    def forget(self, path: Path) -> None:
        """The file has changed: read it again next time."""
        self._known.pop(path, None)

    def _digest(self, path: Path, status: os.stat_result) -> str:
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)
        known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        self._check_size(path, status.st_size)
        try:
            sha256 = sha256_of(path)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None
        self._known[path] = (stamp, sha256)
        return sha256


def is_url(name: str) -> bool:
    """Whether it is a URL. Raises UsageError for a scheme that workers do not support."""
    match = _URL.fullmatch(name)
    if match is None:
        return False
    if match[1].lower() in SCHEMES:
        return True
    if match[2].startswith("//"):
        raise UsageError(
            f"{name!r}: unsupported scheme {match[1]!r}: use {', '.join(SCHEMES)}, or a local file, which is uploaded"
        )
    return False


def program_kind(name: str) -> DriverKind:
    """Return the kind of a program by its suffix: ``.py``, ``.pyz``, ``.whl``, ``.jar``, else an executable."""
    return _KINDS.get(Path(file_name(name)).suffix.lower(), "program")


def file_name(name: str) -> str:
    """Return the last component of a path or URL."""
    return Path(unquote(urlsplit(name).path) if is_url(name) else name).name


def check_program(name: str) -> None:
    """Raise UsageError that names the fix, unless the program can be executed."""
    if is_url(name):
        return
    if "/" not in name and not Path(name).exists():
        from shutil import which  # noqa: PLC0415 - for this mistake only

        found = which(name)
        if found is not None:
            raise UsageError(f"there is no file {name!r} here: to run the program of that name, give its path: {found}")
    if not _regular(name, Path(name)).st_mode & 0o111:
        raise UsageError(f"{name} is not executable: chmod +x {name} (or name it .py, .pyz, .whl or .jar)")


def main_class_of(jar: str) -> str:
    """Return ``Main-Class`` of a jar's manifest. Raises UsageError when it has none, or the jar is not on this machine."""
    if is_url(jar):
        raise UsageError(f"cannot read the main class of {jar} from this machine: name it with --class")
    _regular(jar, Path(jar))
    import zipfile  # noqa: PLC0415 - for jars only

    try:
        with zipfile.ZipFile(jar) as archive:
            manifest = archive.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
    except KeyError:
        manifest = ""
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise UsageError(f"{jar} is not a readable jar file: {error}") from None
    # A line that begins with a space continues the one before (JAR File Specification).
    for line in re.sub(r"\r?\n ", "", manifest).splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() == "main-class" and value.strip():
            return value.strip()
    raise UsageError(f"the manifest of {jar} names no Main-Class: name it with --class")


def check_suffixes(option: str, names: Iterable[str], suffixes: tuple[str, ...]) -> None:
    """Raise UsageError for a name without one of these suffixes."""
    for name in names:
        if Path(file_name(name)).suffix.lower() not in suffixes:
            raise UsageError(f"{option}: {name!r} does not end in {' or '.join(suffixes)}")


def combined(sources: Iterable[Source]) -> tuple[Artifact, ...]:
    """Return their artifacts, each once. Raises UsageError when two different files have the same name."""
    artifacts: dict[str, Artifact] = {}
    for source in sources:
        artifact = source.artifact
        other = artifacts.setdefault(artifact.name, artifact)
        if (other.sha256, other.url) != (artifact.sha256, artifact.url):
            raise UsageError(f"two files of the submission are called {artifact.name!r}: rename one")
        if artifact.executable and not other.executable:
            artifacts[artifact.name] = artifact
    return tuple(artifacts.values())


def _remote(url: str, *, executable: bool) -> Artifact:
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme in ("file", "local"):
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise UsageError(f"{url!r}: write an absolute path of the worker, like {scheme}:/opt/jobs/etl.py")
        url = f"{scheme}://{parts.path}"
    elif not parts.netloc or not parts.path.strip("/"):
        raise UsageError(f"{url!r} names no file: write it like {scheme}://host/path/to/file")
    return Artifact(name=_checked(file_name(url)), url=url, executable=executable)


def _checked(name: str) -> str:
    if not name or name in (".", "..") or "\0" in name:
        raise UsageError(f"{name!r} is not the name of a file")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the file name {os.fsencode(name)!r} is not UTF-8 text: rename the file") from None
    if name in RESERVED:
        raise UsageError(f"a file of a submission must not be called {name!r}: its output is written there; rename it")
    return name


def _regular(name: str, path: Path) -> os.stat_result:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {name!r}: {why}") from None
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{name} is a directory: give a file, or pack it, for example: python3 -m zipapp {name}")
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{name} is not a regular file")
    return status
