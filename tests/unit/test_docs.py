"""What the documentation points to exists: a reader who follows a link arrives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SKIPPED = {".git", ".venv", "build", "dist", "node_modules", "artifacts", ".ansible", ".pytest_cache"}
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_COMMAND = re.compile(r"ansible-playbook (?:-\S+ \S+ )*playbooks/([a-z-]+\.yml)")


def pages() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.md") if not _SKIPPED & set(path.relative_to(ROOT).parts))


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    plain = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in _HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in plain}


def broken(page: Path, text: str) -> list[str]:
    """The relative links of ``page``, which has this ``text``, that lead nowhere."""
    missing = []
    for link in _LINK.findall(_FENCED.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        known = target.exists() and (not anchor or target.suffix != ".md" or anchor in anchors(target.read_text()))
        missing += [] if known else [link]
    return missing


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page, page.read_text(encoding="utf-8")) == []


def test_a_link_that_leads_nowhere_is_seen() -> None:
    text = "[a](docs/none.md) [b](#none) [c](docs/ansible.md#none) [d](docs/ansible.md#hosts) [e](https://example.org/)"
    assert broken(ROOT / "README.md", text) == ["docs/none.md", "#none", "docs/ansible.md#none"]


def test_playbooks_that_pages_name_exist() -> None:
    named = {name for page in pages() for name in _COMMAND.findall(page.read_text(encoding="utf-8"))}
    assert named >= {"start-all.yml", "submit.yml"}
    assert sorted(name for name in named if not (ROOT / "playbooks" / name).exists()) == []


def test_the_readme_names_every_command() -> None:
    """Those an operator types; `keys`, `relay` and the old names are explained where they are needed."""
    listed = subprocess.run(
        [sys.executable, "-m", "stoker", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    names = set(re.findall(r"^  ([a-z]+)  ", listed.stdout, re.MULTILINE)) - {"relay", "keys"}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert names and sorted(name for name in names if not re.search(rf"\b{name}\b", text)) == []
