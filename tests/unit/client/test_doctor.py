"""The doctor's checks: bounded, without tracebacks, and each with a fix."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from stoker.cli import main
from stoker.client.doctor import access, finding, machine, network
from stoker.client.doctor.daemons import running_daemons
from stoker.client.doctor.finding import Finding, each, run_checks
from stoker.config.sources import load_settings
from stoker.core.model.states import Role
from stoker.errors import Refused
from stoker.security.keys import Keys


def test_a_check_that_hangs_or_breaks_is_a_finding() -> None:
    forever = threading.Event()

    def hangs() -> list[Finding]:
        forever.wait()
        return []

    def breaks() -> list[Finding]:
        raise ZeroDivisionError("by zero")

    def refuses() -> list[Finding]:
        raise Refused("no")

    found = run_checks({"a": hangs, "b": breaks, "c": refuses, "d": lambda: [Finding("d", "ok", "well")]}, 0.2)
    forever.set()
    assert [(finding.check, finding.level) for finding in found] == [
        ("a", "problem"), ("b", "problem"), ("c", "problem"), ("d", "ok"),
    ]  # fmt: skip
    assert found[0].found == "no result after 0.2 s"
    assert found[1].found == "cannot look: ZeroDivisionError: by zero"


def test_a_port_of_another_program_is_not_a_master() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def talk() -> None:
            connection, _ = server.accept()
            connection.close()
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0\r\n")
                connection.recv(100)

        thread = threading.Thread(target=talk)
        thread.start()
        [finding] = network.masters((f"127.0.0.1:{port}",))
        thread.join()
    assert (finding.level, finding.check) == ("problem", "masters")
    assert "is not a Stoker master" in finding.found


def test_an_address_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    [finding] = network.masters((f"127.0.0.1:{port}",))
    assert finding.level == "problem"
    assert "Connection refused" in finding.found
    assert str(port) in finding.fix


def test_names() -> None:
    [finding] = network.names("nosuch.invalid", alone=False)
    assert (finding.level, "/etc/hosts" in finding.fix) == ("problem", True)
    [finding] = network.names("localhost", alone=False)
    assert (finding.level, "no other machine reaches" in finding.found) == ("problem", True)
    assert {finding.level for finding in network.names("localhost", alone=True)} <= {"ok", "warning"}


def test_keys_open_to_others_are_a_problem(tmp_path: Path) -> None:
    settings = load_settings({"HOME": str(tmp_path), "SPARK_CONF_DIR": str(tmp_path)})
    [finding] = access.keys(settings, ())
    assert (finding.level, "no key" in finding.found) == ("problem", True)
    Keys.open(tmp_path / "keys", create=(Role.MASTER, Role.CLIENT))
    assert access.keys(settings, ("h:1",))[0].level == "ok"
    (tmp_path / "keys" / "known_masters").chmod(0o644)
    [finding] = access.keys(settings, ("h:1",))
    assert (finding.level, "chmod 600" in finding.found) == ("problem", True)


def test_a_secret_in_a_file_that_others_read(tmp_path: Path) -> None:
    path = tmp_path / "spark-defaults.conf"
    path.write_text("spark.authenticate.secret hush\n")
    path.chmod(0o644)
    settings = load_settings({"HOME": str(tmp_path), "SPARK_CONF_DIR": str(tmp_path)})
    [finding] = access.secrets(settings)
    assert finding.level == "problem"
    assert "hush" not in finding.found + finding.fix
    path.chmod(0o600)
    assert [finding.level for finding in access.secrets(settings)] == ["ok"]


def test_programs_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text(
        "spark.pyspark.python /nonexistent/python\nspark.stoker.spark.home /x\n"
    )
    environ = {
        "HOME": str(tmp_path),
        "SPARK_CONF_DIR": str(tmp_path),
        "JAVA_HOME": "/nonexistent",
        "PATH": "/usr/bin:/bin",
    }
    found = machine.programs(load_settings(environ))
    assert [(finding.check, finding.level) for finding in found] == [
        ("python", "ok"), ("python", "problem"), ("java", "problem"), ("spark", "problem"),
    ]  # fmt: skip
    assert all(finding.fix for finding in found[1:])


def test_disks(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environ = {
        "HOME": str(tmp_path),
        "SPARK_CONF_DIR": str(tmp_path),
        "SPARK_WORKER_DIR": str(tmp_path / "file" / "work"),
    }
    found = {finding.found: finding for finding in machine.disks(load_settings(environ))}
    [bad] = [finding for finding in found.values() if "is not a folder" in finding.found]
    assert bad.level == "problem"


@pytest.mark.parametrize(
    ("limit", "level"), [("99.9%,1000t", "problem"), ("99.9%,1k", "ok"), ("0.001%,1000t", "ok"), ("0", "ok")]
)
def test_disks_of_a_worker_are_judged_as_the_worker_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, level: str
) -> None:
    class Status:
        f_frsize, f_blocks, f_bavail, f_files, f_favail = (
            2**20,
            64,
            60,
            0,
            0,
        )  # a small disk, and nearly all of it is free

    monkeypatch.setattr(os, "statvfs", lambda _: Status())
    (tmp_path / "spark-defaults.conf").write_text(f"spark.stoker.worker.minFreeDisk {limit}\n")
    found = machine.disks(load_settings({"HOME": str(tmp_path), "SPARK_CONF_DIR": str(tmp_path)}))
    assert [(one.found.split("(")[1].split(")")[0], one.level) for one in found] == [
        ("state", "ok"), ("work", level), ("scratch", level),
    ]  # fmt: skip


def test_daemons_of_a_machine(tmp_path: Path) -> None:
    for pid, words in (
        ("12", "/usr/bin/python3\0/opt/stoker\0worker\0spark://h\0"),
        ("13", "python\0-m\0stoker\0status\0"),
    ):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_bytes(words.encode())
    (tmp_path / "12" / "limits").write_text("Limit  Soft  Hard\nMax open files            1024                 4096\n")
    [daemon] = running_daemons(tmp_path)
    assert (daemon.kind, daemon.pid, daemon.file_limit, daemon.files) == ("worker", 12, 1024, -1)


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        ("", ["doctor", "a b"], "'a b' is not a host"),
        ("", ["doctor", "a", "b/c"], "'b/c' is not a host"),
        ("", ["doctor", "--timeout", "x"], "is not a duration"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], text: str, words: list[str], says: str) -> None:
    assert main(words) == 2
    assert says in capsys.readouterr().err


def test_unreadable_settings_are_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    (tmp_path / "spark-env").write_text("for x in 1; do :; done\n")
    assert main(["doctor", "--json"]) == 1
    [finding] = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["check"], finding["level"]) == ("settings", "problem")
    (tmp_path / "spark-env").write_text("SPARK_MASTER_PORT=abc\n")
    assert main(["doctor", "--json", "--master", "spark://127.0.0.1:1", "--timeout", "0.2s"]) == 1
    found = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert "SPARK_MASTER_PORT" in found["ports"]["found"]


def test_many_things_are_examined_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(thing: int) -> list[Finding]:
        time.sleep(0.05)
        return [Finding("addresses", "ok", str(thing))]

    assert [found.found for found in each("addresses", range(40), slow)] == [str(thing) for thing in range(40)]
    monkeypatch.setattr(finding, "EACH_WITHIN", 0.02)
    *seen, last = each("addresses", range(100), slow)
    assert last.level == "problem" and f"{100 - len(seen)} of 100 were not examined" in last.found
