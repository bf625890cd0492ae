"""What is installed is what was pinned: locks with hashes, tarballs that match their checksum, a list of all materials."""

from __future__ import annotations

import hashlib
import json
import re
import types
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def load(name: str) -> Any:
    loader = SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    module = types.ModuleType(loader.name)
    module.__file__ = loader.path
    loader.exec_module(module)
    return module


builder, maker = load("build-release"), load("release")


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.lock")), ids=lambda path: path.stem)
def test_every_requirement_is_pinned_and_hashed(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9_.-]+==\S+", entry) and "--hash=sha256:" in entry, entry.splitlines()[0]


def test_a_changed_tarball_is_not_used_again(tmp_path: Path) -> None:
    target = tmp_path / "stoker.tar.gz"
    target.write_bytes(b"release")
    assert not builder.is_intact(target), "without a checksum"
    builder.checksum_file(target).write_text(f"{hashlib.sha256(b'release').hexdigest()}  {target.name}\n")
    assert builder.is_intact(target)
    target.write_bytes(b"another")
    assert not builder.is_intact(target)


def test_the_bill_of_materials_names_all_that_hosts_get() -> None:
    made = maker.bill_of_materials()
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.5") and made == maker.bill_of_materials()
    names = {(entry["name"], entry["version"]) for entry in made["components"]}
    pinned = re.findall(r"^([\w.-]+)==([^ ;\\]+)", (ROOT / "requirements" / "daemon.lock").read_text(), re.MULTILINE)
    manifest = json.loads(maker.MANIFEST.read_text())
    assert names == {*pinned, *((package["name"], package["version"]) for package in manifest["packages"])}
    assert all(entry.get("externalReferences") or entry.get("components") for entry in made["components"])
    assert len({entry["bom-ref"] for entry in made["components"]}) == len(made["components"])
