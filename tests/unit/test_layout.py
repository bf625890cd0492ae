"""The layout of the tree: sizes of files and folders, and names of classes (docs/style.md, "Code")."""

from __future__ import annotations

import ast
import subprocess
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = 400
VOCABULARY = {"daemon/stoker/core/model/messages.py", "daemon/stoker/core/model/values.py"}

# Class names that are twice in the tree -> why that helps the reader.
TWICE = {
    "ActionModule": "Ansible looks for this name",
    "LookupModule": "Ansible looks for this name",
    "Cluster": "what `/api/v1` publishes, and a real cluster of the tests",
    "Submitted": "what `/api/v1` publishes, and the answer on the wire",
    "Workers": "what `/api/v1` publishes, and the answer on the wire",
    "Control": "the tests' own one stands for the master's",
    "Log": "an effect of the master's and of the worker's core; each knows its own",
    "Send": "an effect of the master (to a connection) and of its peers (to an address); each knows its own",
}


def sources(*folders: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.splitlines() if name.endswith(".py") and (ROOT / name).exists()]


def test_a_class_name_occurs_once() -> None:
    places = defaultdict(list)
    for name in sources("daemon", "plugins", "tests/support"):
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    found = {name: files for name, files in places.items() if len(files) > 1}
    assert {name: files for name, files in found.items() if name not in TWICE} == {}, "rename one, or say why in TWICE"
    assert sorted(TWICE.keys() - found.keys()) == [], "no longer twice"


def test_files_are_short() -> None:
    lines = {name: (ROOT / name).read_text(encoding="utf-8").count("\n") for name in sources()}
    assert {name: count for name, count in lines.items() if count > LINES and name not in VOCABULARY} == {}


def test_folders_of_the_core_are_small() -> None:
    count: dict[str, int] = defaultdict(int)
    for name in sources("daemon/stoker/core"):
        count[name.rpartition("/")[0]] += 1
    assert {folder: number for folder, number in count.items() if number > 20} == {}
