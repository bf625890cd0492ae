"""Nobody forges a line of a log or of the audit trail, and whatever changes something leaves a line that names who asked."""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import os
import re
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.core.model.states import Role
from stoker.errors import ConfigError, one_line
from stoker.io.log_lines import OF_A_DAEMON, LineFormatter
from stoker.security import audit as trail
from stoker.security.audit import audit, open_trail
from stoker.security.keys import Keys
from tests.support.cluster import ME, Cluster, free_port
from tests.support.wait import wait_until

EVIL = "etl\n2026-01-01 00:00:00,000 INFO stoker.audit: action=kill who=ada\r\x1b[2J\x9b2J\u2028\u202eevil\x00\x85"
LINE = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+Z (?:master|worker|command)\[\d+\] action=\S+ target=\S+ who=\S+ .*result=\S+.*"
)


@pytest.fixture(autouse=True)
def _without_a_trail() -> Iterator[None]:
    yield
    for handler in list(trail.LOG.handlers):
        trail.LOG.removeHandler(handler)
        handler.close()


# --- lines ------------------------------------------------------------------------------------------------------------


def logged(*args: object, error: Exception | None = None) -> list[str]:
    """The lines that a daemon's log gets for one event."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(LineFormatter(OF_A_DAEMON))
    logger = logging.Logger("stoker.test")
    logger.addHandler(handler)
    try:
        if error is not None:
            raise error
        logger.warning(*args)
    except Exception:
        logger.exception(*args)
    return out.getvalue().removesuffix("\n").split("\n")


def test_a_text_of_others_is_one_line_without_orders_to_a_terminal() -> None:
    (line,) = logged("submitted %s", EVIL)
    assert line.isprintable() and r"etl\n2026" in line and r"\x1b[2J\x9b2J\u2028\u202eevil\x00\x85" in line


def test_a_traceback_holds_no_line_that_looks_like_an_event() -> None:
    first, *rest = logged("failed", error=ValueError(EVIL))
    assert first.endswith("failed") and rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_every_character_that_is_not_printable_is_escaped() -> None:
    everything = "".join(map(chr, range(0x3000))) + "\ud800\U000e0001"
    assert one_line(everything).isprintable() and one_line("Zoë, 東京") == "Zoë, 東京"


# --- the trail --------------------------------------------------------------------------------------------------------


def test_no_value_forges_a_line_or_a_field(tmp_path: Path) -> None:
    open_trail("master", tmp_path / "audit.log")
    trail.LOG.setLevel(logging.INFO)
    audit(f"kill {EVIL}", f"x who=root {EVIL}", EVIL, who=f"mallory role=admin {EVIL}", role=EVIL, address=EVIL)
    (line,) = (tmp_path / "audit.log").read_text().splitlines()
    assert LINE.fullmatch(line) and line.isascii() and line.isprintable()
    assert line.count("who=") == 1 and line.count("role=") == 1
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600


def test_the_trail_follows_no_link_and_is_not_lost_when_it_is_moved(tmp_path: Path) -> None:
    (tmp_path / "linked.log").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError, match=r"linked.log: .*only spark.stoker.audit.file"):
        open_trail("master", tmp_path / "linked.log")
    assert not (tmp_path / "target").exists()
    path = tmp_path / "audit.log"
    open_trail("master", path)
    trail.LOG.setLevel(logging.INFO)
    audit("kill", "a", who="ada")
    path.rename(tmp_path / "audit.log.1")
    audit("kill", "b", who="ada")
    assert "target=b" in path.read_text() and "target=a" in (tmp_path / "audit.log.1").read_text()


def test_syslog_gets_the_trail_and_never_holds_up_a_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(tmp_path / "log"))
        syslog.settimeout(10)
        open_trail("master", tmp_path / "audit.log", str(tmp_path / "log"))
        trail.LOG.setLevel(logging.INFO)
        audit("kill", EVIL, who="ada")
        received = syslog.recv(65536).decode()
        assert received.startswith("<86>stoker-master[") and "who=ada" in received and received.isprintable()
        done = threading.Event()

        def flood() -> None:
            for _ in range(2000):  # nobody reads them
                audit("kill", "x" * 200, who="ada")
            done.set()

        threading.Thread(target=flood, daemon=True).start()
        assert done.wait(20)
    with pytest.raises(ConfigError, match=r"spark.stoker.audit.syslog /nowhere: "):
        open_trail("master", tmp_path / "audit.log", "/nowhere")


# --- a cluster --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("audit"), properties={"spark.master.rest.port": str(free_port())}) as running:
        yield running


def lines(cluster: Cluster, *words: str) -> list[str]:
    found = (cluster.state / "audit.log").read_text().splitlines()
    assert all(map(LINE.fullmatch, found))
    return [line for line in found if all(word in line.split() for word in words)]


@pytest.mark.cluster
def test_changes_by_key_are_recorded_and_their_refusals(cluster: Cluster) -> None:
    job = cluster.submit("--name", EVIL.replace("\x00", ""), "/bin/sleep", "1000")
    (line,) = lines(cluster, "action=submit", f"target={job}")
    assert f"who={ME} role=client from=127.0.0.1 result=done" in line
    theirs, folder = cluster.home / "conf" / "keys", cluster.home / "mallory"
    Keys.make(folder, [Role.CLIENT])
    with (theirs / "authorized").open("a") as file:
        file.write(f"client {Keys(folder).pair(Role.CLIENT)[0]} mallory\n")
    (folder / "known_masters").write_text((theirs / "known_masters").read_text())
    wait_until(lambda: lines(cluster, "action=key-added", "target=client:mallory"), what="the change of authorized")
    assert cluster.cli("kill", job, env={"STOKER_KEYS_DIR": str(folder)}).returncode == 1
    (line,) = lines(cluster, "action=kill", "who=mallory")
    assert f"target={job}" in line and f"result={job}%20belongs%20to%20{ME}" in line
    worker = cluster.status()["workers"][0]["id"]
    assert cluster.cli("drain", worker).returncode == 0
    assert cluster.cli("undrain", worker).returncode == 0
    (line,) = lines(cluster, "action=drain", "result=done")
    assert f"target={worker}" in line and f"who={ME} role=admin" in line and "door=cli" in line
    assert lines(cluster, "action=undrain")
    assert cluster.cli("kill", job).returncode == 0
    assert lines(cluster, "action=kill", f"who={ME}", "result=done")
    log = cluster.master.text()
    assert all(line.isprintable() for line in log.splitlines())
    assert "\n2026-01-01 00:00:00,000" not in log


@pytest.mark.cluster
def test_tokens_keys_and_refusals_over_http_are_recorded(cluster: Cluster) -> None:
    token = cluster.cli("token", "create", "--name", "ada", "--role", "viewer").stdout.strip()
    assert cluster.cli("keys", "admit", "bea", "A" * 40).returncode == 0
    assert cluster.cli("keys", "revoke", "bea").returncode == 0
    for words in (
        ("action=token-create", "target=viewer:ada"),
        ("action=keys-admit", "target=client:bea"),
        ("action=keys-revoke", "target=bea"),
    ):
        (line,) = lines(cluster, *words, f"who={ME}")
        assert " command[" in line and "door=command" in line
    for secret in (token, "stoker_wrong"):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", cluster.webui_port, timeout=20)) as connection:
            connection.request("POST", "/driver/kill/", headers={"Authorization": f"Bearer {secret}"})
            assert connection.getresponse().status in {401, 403}
    assert lines(cluster, "who=ada", "role=viewer", "result=refused")
    assert lines(cluster, "action=token", "result=refused", "from=127.0.0.1")
    assert os.stat(cluster.state / "audit.log").st_mode & 0o077 == 0
