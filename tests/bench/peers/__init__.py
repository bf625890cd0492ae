"""Peers, measured in the same run: HyperQueue and Dask, where they are installed (see README.md)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Asker:
    """A script of this folder in the peer's own virtual environment. It reads a line of words and prints a line of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, *words: object) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):  # peers print other lines on stdout too
                return json.loads(line)
        raise RuntimeError(f"the peer ended with {self.process.wait(10)}")


@contextlib.contextmanager
def start(python: Path, script: str, *words: object) -> Iterator[Asker]:
    """Run ``script`` in its own directory until the block ends; closing its stdin stops it."""
    path = Path(__file__).with_name(script)
    environ = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(
            [str(python), str(path), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=nowhere,
            env=environ,
            cwd=folder,
            text=True,
        )
        try:
            yield Asker(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Peers:
    """The peers' interpreters. ``folder`` holds ``venv-hq`` and ``venv-dask``; a missing one is None."""

    def __init__(self, folder: Path | None) -> None:
        self.hyperqueue = self._python(folder, "venv-hq")
        self.dask = self._python(folder, "venv-dask")

    @staticmethod
    def _python(folder: Path | None, name: str) -> Path | None:
        python = folder / name / "bin" / "python" if folder is not None else None
        return python.absolute() if python is not None and python.exists() else None
