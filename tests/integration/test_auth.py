"""``security.keys`` and ``security.authorizer``: the keys folder, the admitted keys, and the ZAP handler's answers."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st
from zmq.utils import z85

from stoker.core.model.states import Role
from stoker.errors import ConfigError
from stoker.security.authorizer import Admission, Authorizer, parse_user_id
from stoker.security.keys import Keys

ALL = tuple(Role)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.open(tmp_path / "a" / "keys", create=ALL)


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- the first start -----------------------------------------------------------------------------------------------


def test_the_first_start_makes_everything_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys = Keys.open(tmp_path / "keys", create=ALL)
    finally:
        os.umask(before)
    assert mode(keys.folder) == mode(keys.folder / "private") == 0o700
    files = [path for path in keys.folder.rglob("*") if path.is_file()]
    assert {mode(path) for path in files} == {0o600}
    assert {path.name for path in files} == {
        *("master.key", "worker.key", "client.key", "admin.key"),
        *("authorized", "known_masters", ".lock"),
    }
    authorizer = Authorizer(keys.folder)
    for role in ALL:
        public, secret = keys.pair(role)
        assert zmq.curve_public(secret.encode()).decode() == public
        found = authorizer.lookup(public)
        assert found is not None
        assert found[0] is role
    assert keys.master_key("anywhere:1") == keys.pair(Role.MASTER)[0]


def test_later_starts_change_nothing(keys: Keys) -> None:
    before = snapshot(keys.folder)
    Keys.open(keys.folder, create=ALL)
    Keys.open(keys.folder, create=None)
    assert snapshot(keys.folder) == before


def test_a_start_that_was_cut_off_is_completed(keys: Keys) -> None:
    public = keys.pair(Role.MASTER)[0]
    (keys.folder / "private" / "admin.key").unlink()
    keys.known_masters.unlink()
    Keys.open(keys.folder, create=ALL)
    assert keys.pair(Role.MASTER)[0] == public == keys.master_key("h:1")
    admin = keys.pair(Role.ADMIN)[0]
    assert Authorizer(keys.folder).lookup(admin) is not None


def test_a_key_that_was_revoked_is_not_admitted_again_by_a_start(keys: Keys) -> None:
    keys.authorized.write_text("")
    Keys.open(keys.folder, create=ALL)
    assert Authorizer(keys.folder).lookup(keys.pair(Role.CLIENT)[0]) is None


def test_a_host_without_a_master_trusts_none_by_itself(tmp_path: Path) -> None:
    keys = Keys.open(tmp_path / "keys", create=(Role.WORKER,))
    assert not keys.known_masters.exists()
    with pytest.raises(ConfigError, match="known_masters"):
        keys.master_key("h:7077")
    with pytest.raises(ConfigError, match=r"client\.key"):
        keys.pair(Role.CLIENT)


def test_eight_processes_starting_at_once_agree(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "keys"
    code = (
        "import sys; from pathlib import Path\n"
        "from stoker.core.model.states import Role; from stoker.security.keys import Keys\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "keys = Keys.open(Path(sys.argv[1]), create=tuple(Role))\n"
        "print(*[key for role in Role for key in keys.pair(role)], keys.master_key('h:1'))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # all at the same moment, as near as it gets
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = {process.communicate(timeout=30)[0] for process in processes}
    assert {process.returncode for process in processes} == {0}
    assert len(outputs) == 1
    lines = (folder / "authorized").read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == len(ALL)
    assert not [path for path in folder.rglob(".*") if path.name != ".lock"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="STOKER_KEYS_DIR"):
        Keys.open(tmp_path / "file" / "keys", create=ALL)


# --- what is refused -----------------------------------------------------------------------------------------------


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no key"):
        Keys.open(tmp_path / "none", create=None)


@pytest.mark.parametrize("create", [None, ALL])
def test_a_folder_open_to_others(keys: Keys, create: tuple[Role, ...] | None) -> None:
    keys.folder.chmod(0o750)
    with pytest.raises(ConfigError, match=f"chmod 700 {keys.folder}"):
        Keys.open(keys.folder, create=create)


def test_a_private_key_open_to_others(keys: Keys) -> None:
    path = keys.folder / "private" / "client.key"
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        keys.pair(Role.CLIENT)
    keys.pair(Role.WORKER)


def test_somebody_elses_folder(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        Keys.open(keys.folder, create=None)


@pytest.mark.parametrize("text", ["", "x\n", "a" * 40, f"{'a' * 40}\n{'b' * 40}\n", "\xff\xfe"])
def test_a_damaged_private_key(keys: Keys, text: str) -> None:
    (keys.folder / "private" / "client.key").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"client\.key"):
        keys.pair(Role.CLIENT)


@pytest.mark.parametrize(
    "line", ["worker", "worker key name", f"king {'a' * 40} n", f"worker {'a' * 40}", f"worker {'a' * 40} two names"]
)
def test_a_malformed_line_of_authorized_is_named(keys: Keys, line: str) -> None:
    keys.authorized.write_text(f"# comment\n\n{line}\n")
    with pytest.raises(ConfigError, match=f"{keys.authorized}:3: "):
        Authorizer(keys.folder)


def test_a_key_with_two_roles_is_refused(keys: Keys) -> None:
    keys.authorized.write_text(f"worker {'a' * 40} n\nadmin {'a' * 40} n\n")
    with pytest.raises(ConfigError, match="authorized:2: "):
        Authorizer(keys.folder)


@pytest.mark.parametrize("line", ["*", f"host {'a' * 40}", "h:1 short", f"h:1 {'a' * 40} more", f"* {'a' * 40}"])
def test_a_malformed_line_of_known_masters_is_named(keys: Keys, line: str) -> None:
    keys.known_masters.write_text(f"* {'a' * 40}\n{line}\n")
    with pytest.raises(ConfigError, match="known_masters:2: "):
        keys.master_key("h:1")


def test_a_masters_own_line_goes_before_the_star(keys: Keys) -> None:
    keys.known_masters.write_text(f"* {'a' * 40}\nh:7077 {'b' * 40}\n")
    assert keys.master_key("h:7077") == "b" * 40
    assert keys.master_key("h:7078") == "a" * 40


def test_while_a_master_changes_its_key_both_are_tried_in_turn(keys: Keys) -> None:
    keys.known_masters.write_text(f"h:7077 {'a' * 40}\nh:7077 {'b' * 40}\n")
    tried = []
    for _ in range(4):
        tried.append(keys.master_key("h:7077")[0])
        keys.try_next_key("h:7077")
    assert tried == ["a", "b", "a", "b"]


# --- the next keys -------------------------------------------------------------------------------------------------


def test_a_staged_pair_stays_until_it_is_put_into_use(keys: Keys) -> None:
    """Its public key is in the hands of the other machines already."""
    before = keys.pair(Role.MASTER)[0]
    staged = keys.stage([Role.MASTER])
    assert keys.stage([Role.MASTER, Role.WORKER])[Role.MASTER] == staged[Role.MASTER] != before
    assert keys.pair(Role.MASTER)[0] == before
    assert keys.switch() and not keys.switch()
    assert keys.pair(Role.MASTER)[0] == staged[Role.MASTER]
    assert keys.staged() == {}


# --- following the file --------------------------------------------------------------------------------------------


def test_a_change_is_seen_at_the_next_look(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count(0, 0.6)
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    authorizer = Authorizer(keys.folder)
    public = keys.pair(Role.CLIENT)[0]
    assert authorizer.lookup(public) is not None
    keys.authorized.write_text("# nobody\n")
    assert [authorizer.lookup(public) is None for _ in range(4)].index(True) <= 2


def test_a_slip_of_the_editor_changes_nothing(keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    authorizer = Authorizer(keys.folder)
    public = keys.pair(Role.CLIENT)[0]
    keys.authorized.write_text("workr x y\n")
    authorizer.reload()
    assert authorizer.lookup(public) is not None
    assert "authorized:1" in caplog.text
    keys.authorized.unlink()
    authorizer.reload()
    assert authorizer.lookup(public) is not None
    keys.authorized.write_text("")
    authorizer.reload()
    assert authorizer.lookup(public) is None


# --- who may connect -----------------------------------------------------------------------------------------------


def request(
    key: str, *, version: bytes = b"1.0", domain: bytes = b"stoker", mechanism: bytes = b"CURVE"
) -> list[bytes]:
    return [version, b"7", domain, b"127.0.0.1", b"", mechanism, z85.decode(key)]


def test_admission_by_curve_only_in_our_domain(keys: Keys) -> None:
    admission = Admission(Authorizer(keys.folder))
    public = keys.pair(Role.CLIENT)[0]
    granted = [admission.reply(request(public)) for _ in range(2)]
    assert [reply[:4] for reply in granted] == [[b"1.0", b"7", b"200", b"OK"]] * 2
    serials, names = zip(*(parse_user_id(reply[4].decode()) for reply in granted), strict=True)
    assert names == (public, public)
    assert serials[0] < serials[1]
    refused = [
        request(public, domain=b"other"),
        request(public, domain=b""),
        request(public, mechanism=b"NULL"),
        request(public, mechanism=b"PLAIN"),
        request(zmq.curve_keypair()[0].decode()),
        [*request(public)[:-1], b"short"],
        request(public)[:-1],
    ]
    for asked in refused:
        reply = admission.reply(asked)
        assert (reply[2], reply[4]) == (b"400", b""), asked
    assert admission.reply(request(public, version=b"2.0"))[2] == b"500"


def test_a_new_connection_meets_the_file_as_it_is(keys: Keys) -> None:
    """A key that a playbook has just removed is rejected at once, not a second later."""
    admission = Admission(Authorizer(keys.folder))
    public, lines = keys.pair(Role.CLIENT)[0], keys.authorized.read_text()
    found = []
    for text in (lines, "# nobody\n", lines):
        keys.authorized.write_text(text)
        found.append(admission.reply(request(public))[2])
    assert found == [b"200", b"400", b"200"]


def test_a_stranger_is_logged_once(keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    admission = Admission(Authorizer(keys.folder))
    stranger = zmq.curve_keypair()[0].decode()
    for _ in range(3):
        admission.reply(request(stranger))
    assert caplog.text.count(stranger) == 1


def test_without_authentication_everybody_may_come_but_not_by_another_door() -> None:
    admission = Admission(None)
    assert admission.reply([b"1.0", b"1", b"stoker", b"", b"", b"NULL"])[2] == b"200"
    assert admission.reply([b"1.0", b"1", b"other", b"", b"", b"NULL"])[2] == b"400"
    assert admission.reply([b"1.0", b"1", b"stoker", b"", b"", b"PLAIN", b"a", b"b"])[2] == b"400"


@settings(derandomize=True)
@given(st.lists(st.binary(max_size=40), max_size=9))
def test_a_malformed_request_is_answered_with_a_refusal(frames: list[bytes]) -> None:
    reply = Admission(None).reply(frames)
    assert len(reply) == 6
    assert reply[2] in {b"400", b"500"} or frames[2:6:3] == [b"stoker", b"NULL"]
