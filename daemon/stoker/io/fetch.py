"""``python -m stoker.io.fetch URL DEST``: fetch one file through fsspec, in a process of its own.

A process, because remote file systems bring large libraries and may hang: a daemon stays small and can kill this one.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

_EXTRA = {"s3": "s3", "s3a": "s3", "hdfs": "hdfs", "http": "fetch", "https": "fetch"}
SCHEMES = ("http", "https", "hdfs", "s3", "s3a")


def main() -> int:
    url, target = sys.argv[1:]
    scheme = url.partition("://")[0].lower()
    try:
        import fsspec  # noqa: PLC0415 - what may be missing is reported below

        with fsspec.open(url.replace("s3a://", "s3://", 1), "rb") as source, Path(f"{target}.part").open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        Path(f"{target}.part").replace(target)
    except ImportError as error:
        print(f"cannot fetch {url}: {error}; install stoker[{_EXTRA.get(scheme, 'fetch')}] on the workers")
        return 1
    except Exception as error:
        print(f"cannot fetch {url}: {_reason(error, url)}")
        return 1
    return 0


def _reason(error: BaseException, url: str) -> str:
    """One line. fsspec raises FileNotFoundError with nothing but the URL for whatever HTTP said; the cause knows more."""
    while str(error).strip() in ("", url) and error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines and lines[0] != url else type(error).__name__


if __name__ == "__main__":
    raise SystemExit(main())
