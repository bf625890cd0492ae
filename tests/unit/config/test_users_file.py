"""``users.yml``, read without a YAML package: what it accepts means the same to YAML, and each fault is a line of its own."""

from __future__ import annotations

import pytest
import yaml

from stoker.config.users_file import parse_users

GOOD = """\
# whose jobs run as whom
principals:
  ada: alovelace   # by her own name
  'team one': team_1
  "o'brien@x": svc-1
  7: seven

pools:
    etl: etl
"""


@pytest.mark.parametrize("text", [GOOD, "", "# nothing\n", "---\npools: {}\n", "principals:\npools:\n  a: b\n"])
def test_it_means_what_it_means_to_yaml(text: str) -> None:
    found, faults = parse_users(text, "users.yml")
    assert found is not None and not faults
    meant = yaml.safe_load(text) or {}
    for section in ("principals", "pools"):
        expected = {str(name): account for name, account in (meant.get(section) or {}).items()}
        assert getattr(found, section) == expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("users:\n  a: b\n", "1: unknown section users"),
        ("principals:\n  a: root\n", "2: a: jobs never run as root"),
        ("principals:\n  a: b\n  a: c\n", "3: a is given twice"),
        ("principals:\n  a: b\nprincipals:\n", "3: principals is given twice"),
        ("principals:\n\ta: b\n", "2: 'a: b' is not an indented line"),
        ("principals:\n  a: 'b c'\n", "2: 'b c' is not the name of an account"),
        ("principals:\n  a:\n", "2: 'a:' is not an indented line"),
        ("principals: [a]\n", "1: 'principals: [a]' is not a section"),
        ("  a: b\n", "1: 'a: b' is not an indented line"),
        ("principals:\n  a: &x b\n", "2: 'a: &x b' is not an indented line"),
    ],
)
def test_faults(text: str, fault: str) -> None:
    found, faults = parse_users(text, "users.yml")
    assert found is None
    assert len(faults) == 1 and faults[0].startswith(f"users.yml:{fault}"), faults


def test_all_faults_are_named() -> None:
    assert len(parse_users("principals:\n  a: root\n  b\n", "users.yml")[1]) == 2
