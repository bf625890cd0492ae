"""The arrows of docs/architecture.md: who may import whom, read from the source without running it."""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import stoker

ROOT = Path(stoker.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
SOURCES = sorted(ROOT.rglob("*.py"))

# Room -> what it may know, as prefixes of module names below ``stoker``. Everybody may know its own room.
ALLOWED: dict[str, set[str]] = {
    "core": {"errors"},
    "wire": {"core", "errors"},
    "security": {"core", "io.disk", "errors"},
    "io": {"core", "wire", "security", "errors"},
    "recovery": {"core", "io.disk", "io.zookeeper", "errors"},
    "leader": {"core", "io.disk", "io.zookeeper", "errors"},
    "engines": {"core", "errors"},
    "config": {"core", "security", "errors"},
    "web": {
        *("core.model", "core.master.scheduling.explain", "errors", "version"),
        *("config.effective", "config.types", "config.web", "io.own_log", "io.peer_log", "io.peer_user"),
        *("security.audit", "security.roles", "security.throttle", "security.tokens"),
    },
    "client": {"core", "wire", "security", "io", "config", "engines", "errors", "version"},
    "gateway": {"core", "security", "io", "errors"},
    "master": {
        "core",
        "wire",
        "security",
        "io",
        "recovery",
        "leader",
        "engines",
        "gateway",
        "config",
        "web",
        "errors",
        "version",
    },
    "worker": {"core", "wire", "security", "io", "engines", "config", "web", "errors", "version"},
    "via": {"client", "core", "wire", "security", "io", "config", "errors", "version"},
    "errors": set(),
    "version": set(),
    "cli": {"errors", "version", "via.command"},  # the commands are loaded by name, when they are asked for
    "__main__": {"cli"},
    "__init__": {"client", "core.application", "core.model", "errors", "security.keys", "version"},  # the public names
}

# Inside a room: folder -> what it may know of its own room. Files beside the folders are listed where their place matters.
LAYERS: dict[str, dict[str, set[str]]] = {
    "core": {
        "model": set(),
        "peer": {"model"},
        "application": {"model", "peer"},
        "worker": {"model", "peer"},
        "master": {"model"},
        "forecast": {"master", "model"},
    },
    "client": {
        "notices": set(),
        "session": set(),
        "logs": {"session"},
        "submit": {"session", "logs"},
        "api": {"session", "logs", "submit"},
        "application": {"api", "logs", "notices", "session", "submit"},
        "show": {"notices"},
        "doctor": set(),
        "commands": {"api", "application", "doctor", "logs", "notices", "session", "show", "submit"},
    },
    "worker": {
        "script": set(),
        "devices": {"script"},
        "groups": set(),
        "runas": set(),
        "keeper": {"groups", "runas"},
        "spark": {"keeper"},
        "jobs": {"devices", "groups", "keeper", "script", "spark"},
    },
    "web": {
        "access": {"csrf"},
        "api": {"access", "changes", "common", "log_window", "spark_json"},
        "metrics": {"common", "spark_json"},
        "rest": {"access", "jackson"},
    },
}

# The cores decide; they neither look at the world nor at the clock, and they roll no dice.
PURE = {
    *(
        "__future__",
        "abc",
        "bisect",
        "collections",
        "contextlib",
        "dataclasses",
        "datetime",
        "enum",
        "fractions",
        "functools",
        "heapq",
        "hmac",
        "ipaddress",
    ),
    *("itertools", "logging", "math", "operator", "re", "string", "typing", "msgspec"),
}
IMPURE_CALLS = {"now", "today", "utcnow", "getLogger"}  # of what PURE lets in


def layer_of(path: Path) -> str:
    """The folder, or the file, of its room that ``path`` is in."""
    parts = path.relative_to(ROOT).parts
    return parts[1].removesuffix(".py") if len(parts) > 1 else ""


def upward(room: str, layer: str, source: str) -> list[str]:
    """Imports that go from a layer of ``room`` to one that it may not know."""
    layers = LAYERS.get(room, {})
    if layer not in layers:
        return []
    found = []
    for line, module in imports(ast.parse(source)):
        parts = module.split(".")
        if parts[:2] == ["stoker", room] and len(parts) > 2 and parts[2] not in {layer, *layers[layer]}:
            found.append(f"{line}: {room}/{layer} may not know {module}")
    return found


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, wherever in the file it is; names imported from a package count as modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level
            else:
                for alias in node.names:
                    yield node.lineno, f"{node.module}.{alias.name}"


def violations(room: str, source: str) -> list[str]:
    tree = ast.parse(source)
    found = []
    for line, module in imports(tree):
        if module.startswith("."):
            found.append(f"{line}: relative import")
        elif module.split(".")[0] == "stoker":
            below = module.removeprefix("stoker").removeprefix(".")
            known = {room, *ALLOWED[room]}
            if below and not any(below == name or below.startswith(f"{name}.") for name in known):
                found.append(f"{line}: {room} may not know {module}")
        elif room == "core" and module.split(".")[0] not in PURE:
            found.append(f"{line}: core may not know {module}")
    return found + list(forbidden_calls(room, tree))


def forbidden_calls(room: str, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if isinstance(node.func, ast.Name) and name in {"eval", "exec"}:
            yield f"{node.lineno}: {name}()"
        if room == "core" and name in IMPURE_CALLS:
            yield f"{node.lineno}: core asks the world: {name}()"
        if room != "io" and name == "socket" and any(is_zmq(argument) for argument in node.args):
            yield f"{node.lineno}: ZeroMQ sockets are made in io only"


def is_zmq(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "zmq"


def test_every_room_is_in_the_table() -> None:
    assert {room_of(path) for path in SOURCES} <= set(ALLOWED)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows(path: Path) -> None:
    assert violations(room_of(path), path.read_text()) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_inside_a_room(path: Path) -> None:
    assert upward(room_of(path), layer_of(path), path.read_text()) == []


@pytest.mark.parametrize("room", sorted(LAYERS))
def test_every_folder_of_a_room_has_its_place(room: str) -> None:
    folders = {path.name for path in (ROOT / room).iterdir() if (path / "__init__.py").exists()}
    assert folders <= set(LAYERS[room])


@pytest.mark.parametrize("room", sorted(LAYERS))
def test_layers_have_no_circle(room: str) -> None:
    graphlib.TopologicalSorter(LAYERS[room]).prepare()


def rows_of_the_page() -> dict[str, set[str]]:
    """Room -> what it may know, as the tables of docs/architecture.md have it."""
    rows = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            for name in re.findall(r"`([^`]+)`", cells[0]):
                rows[name.rstrip("/").removesuffix(".py")] = set(re.findall(r"`([^`]+)`", cells[2]))
    return rows


@pytest.mark.parametrize(
    "path", sorted((ROOT / "core" / "master" / "scheduling").glob("*.py")), ids=lambda path: path.stem
)
def test_scheduling_knows_no_books(path: Path) -> None:
    known = ("stoker.core.model", "stoker.core.master.scheduling")
    found = [module for _, module in imports(ast.parse(path.read_text())) if module.startswith("stoker.")]
    assert not [module for module in found if not module.startswith(known)]


def test_the_page_says_the_same() -> None:
    rows = rows_of_the_page()
    inside = {f"{room}/{layer}": known for room, layers in LAYERS.items() for layer, known in layers.items()}
    assert rows == ALLOWED | inside


def test_nobody_pickles() -> None:
    for path in SOURCES:
        modules = {module.split(".")[0] for _, module in imports(ast.parse(path.read_text()))}
        assert not modules & {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}, path


def test_the_keeper_needs_the_standard_library_only() -> None:
    """It outlives the worker daemon, and so upgrades of what that needs."""
    waiting, seen = [ROOT / "worker" / "keeper" / "keeper.py"], set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        for line, module in imports(ast.parse(path.read_text())):
            top = module.split(".")[0]
            assert top in sys.stdlib_module_names or top == "stoker", f"{path}:{line}: {module}"
            own = ROOT.joinpath(*module.split(".")[1:-1]).with_suffix(".py")
            if top == "stoker" and own.exists() and own not in seen:
                waiting.append(own)
    assert len(seen) > 1


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("core", "import time"),
        ("core", "import random"),
        ("core", "def f():\n    import zmq"),
        ("core", "from stoker.io.loop import Loop"),
        ("core", "from stoker import io"),
        ("core", "from datetime import datetime\ndatetime.now()"),
        ("core", "from .states import Role"),
        ("wire", "from stoker.io import sockets"),
        ("io", "from stoker.master import daemon"),
        ("web", "from stoker.core.master.machine import Master"),
        ("web", "from stoker.core.master import books"),
        ("master", "from stoker.worker import daemon"),
        ("worker", "import stoker.master.daemon"),
        ("client", "from stoker.worker.daemon import WorkerDaemon"),
        ("client", "context.socket(zmq.DEALER)"),
        ("master", "eval('1')"),
    ],
)
def test_the_guard_sees_what_it_guards_against(room: str, source: str) -> None:
    assert violations(room, source)


@pytest.mark.parametrize(
    ("room", "layer", "source"),
    [
        ("core", "master", "from stoker.core.worker import jobs"),
        ("core", "model", "import stoker.core.peer.masters"),
        ("client", "session", "from stoker.client.api import Client"),
        ("client", "submit", "def f():\n    from stoker.client.commands.common import memory"),
        ("worker", "keeper", "from stoker.worker.jobs import logs"),
    ],
)
def test_the_guard_sees_arrows_that_go_upward(room: str, layer: str, source: str) -> None:
    assert upward(room, layer, source)
