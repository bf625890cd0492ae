# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Jinja texts that a run compiles once, although each host has a process of its own."""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import Environment

NAME = "stoker-templates"


@contextlib.contextmanager
def compiled_once(folder: Path) -> Iterator[None]:
    """Within it, Jinja takes compiled texts from ``folder``, which must be private to this run (Ansible's local temporary
    folder), and leaves there what it compiles itself. Compiling takes longer than evaluating. What a text is compiled to
    depends on the text and on the options of the environment; texts with their own options, and with backslashes, whose
    treatment is one of these options, are compiled as ever."""
    kind: Any = Environment  # Ansible's is a subclass that does not replace ``compile``
    path, before = folder / NAME, kind.compile
    known = _read(path)
    count = len(known)

    def compile_once(self: Environment, source: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(source, str) or args or options or self.overlayed or "\\" in source:
            return before(self, source, *args, **options)
        key = hashlib.sha256(f"{type(self)}\n{source}".encode()).digest()
        if key not in known:
            known[key] = before(self, source)
        return known[key]

    kind.compile = compile_once
    try:
        yield
    finally:
        kind.compile = before
        if len(known) > count:
            _write(path, known)


def _read(path: Path) -> dict[bytes, CodeType]:
    with contextlib.suppress(OSError, EOFError, ValueError, TypeError):
        return dict(marshal.loads(path.read_bytes()))
    return {}


def _write(path: Path, known: dict[bytes, CodeType]) -> None:
    part = path.with_suffix(f".{os.getpid()}")
    part.write_bytes(marshal.dumps(known))
    part.replace(path)  # another host's process reads the one or the other
