"""Units as systemd reads them."""

from __future__ import annotations

import pytest

pytest.importorskip("ansible", reason="the collection is tested where Ansible is installed")

from plugins.module_utils.systemd import command_line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["/opt/stoker/current/bin/stoker", "worker", "--port", "4001"],
            "/opt/stoker/current/bin/stoker worker --port 4001",
        ),
        (["/bin/x", "--host", "fe80::1%eth0"], '/bin/x --host "fe80::1%%eth0"'),
        (["/bin/x", "/data/$USER/100%"], '/bin/x "/data/$$USER/100%%"'),
        ([], ""),  # ZooKeeper's unit has its own command
        (["/my bin/$x", "a b", ""], '"/my bin/$x" "a b" ""'),
        (["/bin/x", 'it\'s \\ "so"', "a\nb"], '/bin/x "it\'s \\\\ \\"so\\"" "a\\x0ab"'),
    ],
)
def test_a_daemon_gets_exactly_its_words(words: list[str], line: str) -> None:
    assert command_line(words) == line
