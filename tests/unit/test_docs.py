"""The documentation's links and references lead to something that exists."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[2]
_SKIPPED = {".git", ".venv", "build", "dist", "node_modules", "artifacts", ".ansible", ".pytest_cache"}
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_SPEC = re.compile(r"\b[Ss]pec (\d+(?:\.\d+)*(?:, \d+(?:\.\d+)*)*)")
_SPEC_PAGE = re.compile(r"\bspec/([a-z-]+)((?:,? \"[A-Z][A-Za-z ]+\")*)")
_ADR = re.compile(r"\bADR (\d+)")
_QUIRK = re.compile(r"\b[Qq]uirk (\d+)")
_TEST = re.compile(r"\btest_[a-z0-9_]+\.py\b")
_PATH = re.compile(r"(?<![\w/.*{-])(?:docs|playbooks|roles|scripts|molecule|tests|plugins)/[\w./-]*\w")
_PLACEHOLDER = re.compile(r"[/-](?!README)[A-Z]{3,}\b")  # roles/ROLE/molecule/SCENARIO
_ABROAD = re.compile(r"\bDESIGN\b")
_NUMBERED = re.compile(r"^#+ (\d+(?:\.\d+)*)\.? ")
_ITEM = re.compile(r"^(\d+)\. ")
_CASE = re.compile(r"(tests/[\w/]+\.py)?::(test_\w+)")  # without a file: in the one named before
_COMMAND = re.compile(r"ansible-playbook (?:-\S+ \S+ )*playbooks/([a-z-]+\.yml)")


# Made by tests and builds, or names in examples.
_NOT_KEPT = ("tests/artifacts", "tests/bench/results")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> dict[str, str]:
    """Everything that people read: code, pages, playbooks; not this file, whose patterns look like references."""
    named = tracked("*.py", "*.md", "*.yml", "*.j2", "Makefile", "*.toml", "scripts/*")
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in named if path != Path(__file__)}


def sections(text: str) -> set[str]:
    """The numbers of a page's headings, and of the numbered items below each: 9, 9.1, 9.1.6."""
    known, current = set(), ""
    for line in text.splitlines():
        if heading := _NUMBERED.match(line):
            current = heading[1]
            known.add(current)
        elif (item := _ITEM.match(line)) and current:
            known.add(f"{current}.{item[1]}")
    return known


@functools.cache
def targets() -> tuple[set[str], set[str], set[str]]:
    """Sections of the specification, numbers of decisions, names of tests."""
    spec = sections((ROOT / "docs/spec/standalone.md").read_text(encoding="utf-8"))
    decisions = {str(int(path.name[:4])) for path in (ROOT / "docs/adr").glob("[0-9]*.md")}
    return spec, decisions, {path.name for path in tracked("tests", "molecule")}


def dangling(text: str) -> list[str]:
    """References in ``text`` to sections, decisions, quirks, tests and files that the repository does not have."""
    spec, decisions, tests = targets()
    found = [f"spec {one}" for listed in _SPEC.findall(text) for one in listed.split(", ") if one not in spec]
    for page, names in _SPEC_PAGE.findall(text):
        path = ROOT / "docs/spec" / f"{page}.md"
        headings = set(_HEADING.findall(path.read_text(encoding="utf-8"))) if path.exists() else set()
        found += [f"spec/{page}"] if not path.exists() else []
        found += [f'spec/{page} "{name}"' for name in re.findall(r'"([^"]+)"', names) if name not in headings]
    found += [f"ADR {number}" for number in _ADR.findall(text) if number not in decisions]
    found += [f"quirk {number}" for number in _QUIRK.findall(text) if f"16.{number}" not in spec]
    found += [name for name in _TEST.findall(text) if name not in tests]
    found += [name for name in _PATH.findall(text) if not _PLACEHOLDER.search(name) and not is_kept(name)]
    return found + _ABROAD.findall(text)


def is_kept(name: str) -> bool:
    """Whether the repository has this path, or files that begin with it (``docs/adr/0001``)."""
    path = ROOT / name
    return (
        name.startswith(_NOT_KEPT) or path.exists() or (path.parent.is_dir() and any(path.parent.glob(f"{path.name}*")))
    )


def test_every_reference_leads_to_something_in_the_repository() -> None:
    assert {name: missing for name, text in texts().items() if (missing := dangling(text))} == {}


def test_a_reference_that_leads_nowhere_is_seen() -> None:
    text = """spec 9.4, 99.1; Spec 9.1.6 and spec 9.1.66; spec/spark-rpc "Framing", "Nothing"; spec/none; ADR 1, ADR 999;
    quirk 12, quirk 99; test_docs.py and test_none.py; docs/style.md docs/missing.md, roles/stoker_master/tasks/none.yml"""
    assert dangling(text) == [
        "spec 99.1",
        "spec 9.1.66",
        'spec/spark-rpc "Nothing"',
        "spec/none",
        "ADR 999",
        "quirk 99",
        "test_none.py",
        "docs/missing.md",
        "roles/stoker_master/tasks/none.yml",
    ]


def missing_cases(text: str) -> list[str]:
    """Tests that ``text`` names as FILE::TEST, or as ::TEST of the latest FILE, and that the file does not have."""
    missing, file = [], ""
    for named, case in _CASE.findall(text):
        file = named or file
        path = ROOT / file
        code = path.read_text(encoding="utf-8") if path.is_file() else ""
        missing += [] if re.search(rf"^(?:async )?def {case}\(", code, re.M) else [f"{file}::{case}"]
    return missing


def test_tests_that_pages_name_exist() -> None:
    named = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in pages()}
    assert len(_CASE.findall(named["docs/security.md"])) > 50
    assert {name: missing for name, text in named.items() if (missing := missing_cases(text))} == {}


def test_a_test_that_is_missing_is_seen() -> None:
    file = "tests/unit/test_docs.py"
    text = f"`{file}::test_a_test_that_is_missing_is_seen`, `::test_nowhere`, `tests/unit/none.py::test_nowhere`"
    assert missing_cases(text) == [f"{file}::test_nowhere", "tests/unit/none.py::test_nowhere"]


def test_all_decisions_are_in_the_index_with_date_and_status() -> None:
    index = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| \[(\d+)\]\((\S+)\) \| (.+) \| \d{4}-\d\d-\d\d \| (?:accepted|superseded by .+|proposed) \|$", index, re.M
    )
    listed = {name: (int(number), title) for number, name, title in rows}
    kept = {}
    for path in (ROOT / "docs/adr").glob("[0-9]*.md"):
        first = re.fullmatch(r"# (\d+)\. (.+)", path.read_text(encoding="utf-8").splitlines()[0])
        assert first is not None, f"{path.name} must begin with '# NUMBER. Title'"
        kept[path.name] = (int(first[1]), first[2])
    assert listed == kept
    numbers = [number for number, _ in kept.values()]
    assert len(numbers) == len(set(numbers))  # there may be gaps: a number is taken while its decision is written


def test_words_of_coming_releases_are_marked_in_the_glossary() -> None:
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", text, re.M))
    assert rows.keys() >= {
        "keeper",
        "slot",
        "attempt",
        "epoch",
        "drain",
        "dying",
        "hold, release (of a held job)",
        "pool",
        "principal",
        "priority",
        "finite",
        "share",
        "grant",
        "refusal",
    }
    assert all(rows[word].startswith("**0.3**") for word in ("reservation", "lease"))


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


def test_programs_without_a_suffix_are_linted_and_type_checked() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    programs = {
        str(path.relative_to(ROOT))
        for path in tracked()
        if not path.suffix and path.is_file() and re.match(rb"#!.*python", path.read_bytes()[:80])
    }
    assert programs and programs == set(settings["ruff"]["extend-include"])
    assert programs <= set(settings["mypy"]["files"])


def test_no_file_has_marks_of_a_merge() -> None:
    marked = {name for name, text in texts().items() if re.search(r"^(?:<{7}|>{7}) ", text, re.MULTILINE)}
    assert marked == set()
