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
        first = str(error).strip().splitlines() or [type(error).__name__]
        print(f"cannot fetch {url}: {first[0]}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
