"""The dashboards' libraries are what their manifest says, all of them, and nothing is fetched from elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import stoker

STATIC = Path(stoker.__file__).parent / "web" / "static"
VENDOR = STATIC / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())


def test_files_are_what_the_manifest_says() -> None:
    named = {"manifest.json"}
    for package in MANIFEST["packages"]:
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"]), f"{package['name']} is not pinned"
        assert any("LICENSE" in entry["file"] for entry in package["files"]), f"{package['name']} has no licence"
        assert package["licence"]
        for entry in package["files"]:
            named.add(entry["file"])
            assert hashlib.sha256((VENDOR / entry["file"]).read_bytes()).hexdigest() == entry["sha256"], entry["file"]
    assert {path.name for path in VENDOR.iterdir()} == named


def test_pages_fetch_nothing_from_elsewhere() -> None:
    ours = [*STATIC.glob("*.js"), *STATIC.glob("*.css"), *(STATIC.parent / "templates").glob("*.html")]
    assert len(ours) > 10
    for path in (*ours, VENDOR / "pico.min.css", VENDOR / "uPlot.min.css"):
        text = path.read_text()
        assert not re.search(r"(src|href)=[\"']?(https?:)?//", text), path.name
        assert not re.search(r"url\([\"']?(https?:)?//|@import", text), path.name
