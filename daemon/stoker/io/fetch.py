"""``python -m stoker.io.fetch URL DEST``: fetch one file through fsspec, in a process of its own.

It is a process of its own because remote file systems need large libraries and may hang: the daemon stays small and can
kill it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

# What to do about reasons that only experts understand, by words in them.
_HINTS = {
    "libjvm": "pip install hdfs-native on the workers",
    "libhdfs": "pip install hdfs-native on the workers",
    "Permission denied: user=": "HADOOP_USER_NAME in spark-env there, or with --env, says who reads",
    "Forbidden": "the credentials do not allow it",
    "Unable to locate credentials": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in spark-env there, or with --env",
}
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "hdfs": "hdfs-native",
    "webhdfs": "requests",
    "http": "aiohttp",
    "https": "aiohttp",
}
NO_ROOM = 3  # exit status: this machine's disk is full or read-only
_TRIES = 4  # of a NameNode, with growing pauses between them
_RPC_ERROR = re.compile(r'RPCError\("[^"]*", "(.*)', re.DOTALL)  # how hdfs-native wraps a NameNode's message


def main() -> int:
    url, target = sys.argv[1:]
    scheme = url.partition("://")[0].lower()
    part = Path(f"{target}.part")
    try:
        with _opened(url, scheme) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        part.replace(target)
    except ImportError as error:
        print(f"cannot fetch {url}: {error}; pip install fsspec {_PACKAGES.get(scheme, '')} on the workers")
        return 1
    except Exception as error:
        print(f"cannot fetch {url}: {_reason(error, url)}")
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        return NO_ROOM if is_full else 1
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return 0


def _opened(url: str, scheme: str) -> IO[bytes]:
    """Open a remote file. Not by ``fsspec.open``, which takes ``::``, of an IPv6 address or a name, for the start of another
    URL. Raises ImportError without the scheme's package, and whatever the file system raises."""
    import fsspec  # noqa: PLC0415 - what may be missing is reported

    url = url.replace("s3a://", "s3://", 1)
    kind = fsspec.get_filesystem_class("s3" if scheme == "s3a" else scheme)
    system = kind(**{**kind._get_kwargs_from_urls(url), **_options(url, scheme)})
    opened: IO[bytes] = system.open(kind._strip_protocol(url), "rb")
    return opened


def _options(url: str, scheme: str) -> dict[str, str]:
    """Return options for fsspec. A silent NameNode gets some seconds, enough for a fail-over, instead of minutes. A webhdfs
    request is anonymous unless it names a user; the hdfs client reads the same variable."""
    if scheme == "hdfs":
        return {"dfs.client.failover.max.attempts": str(_TRIES)}
    user = os.environ.get("HADOOP_USER_NAME")
    return {"user": user} if scheme == "webhdfs" and user and urlsplit(url).username is None else {}


def _reason(error: BaseException, url: str) -> str:
    """One line. fsspec raises FileNotFoundError with nothing but the URL for whatever HTTP said; the cause knows more."""
    while str(error).strip() in ("", url) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, FileNotFoundError) and url.endswith(str(error)):
        return "there is no such file"
    text = str(error).strip()
    from_namenode = _RPC_ERROR.match(text)
    if from_namenode is not None:
        text = from_namenode[1].replace("\\n", "\n").replace('\\"', '"')
    lines = text.splitlines()
    reason = lines[0] if lines and lines[0] != url else type(error).__name__
    hint = next((hint for word, hint in _HINTS.items() if word in reason), "")
    return f"{reason} ({hint})" if hint else reason


if __name__ == "__main__":
    raise SystemExit(main())
