"""Keys are made, copied and changed by hand, as the playbooks do it: no peer is locked out meanwhile, and no job ends."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster
from tests.support.wait import wait_until


def keys(cluster: Cluster, *words: str) -> dict[str, Any]:
    done = cluster.cli("keys", *words, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_keys_change_under_a_running_driver(cluster: Cluster) -> None:
    folder = Path(cluster.environ["SPARK_CONF_DIR"]) / "keys"
    driver_id = cluster.cli("submit", "/bin/sleep", "600").stdout.strip()
    pid = wait_until(lambda: attempt(cluster, driver_id)["pid"], what="the driver runs")
    old = keys(cluster, "show")["public"]
    new = keys(cluster, "stage")["staged"]
    assert set(new) == set(old) and not set(new.values()) & set(old.values())
    assert keys(cluster, "stage")["staged"] == new

    both = [f"{role} {key} here" for some in (old, new) for role, key in some.items()]
    (folder / "authorized").write_text("\n".join(both) + "\n")
    (folder / "known_masters").write_text(f"* {old['master']}\n* {new['master']}\n")
    assert keys(cluster, "switch") | {"folder": ""} == {"changed": True, "public": new, "staged": {}, "folder": ""}
    assert not keys(cluster, "switch")["changed"]
    for daemon in (cluster.worker[0], cluster.master):
        daemon.kill(signal.SIGTERM)
        daemon.start()
        wait_until(lambda: cluster.registrations() >= 1, what="the worker is back")

    (folder / "authorized").write_text("".join(f"{role} {key} here\n" for role, key in new.items()))
    (folder / "known_masters").write_text(f"* {new['master']}\n")
    assert cluster.cli("submit", "--wait", "/bin/echo", "on").stdout == "on\n"
    now = attempt(cluster, driver_id)
    assert (now["pid"], now["number"], now["state"]) == (pid, 1, "RUNNING")


def attempt(cluster: Cluster, driver_id: str) -> dict[str, Any]:
    return dict(json.loads(cluster.cli("status", "--json", driver_id).stdout)["attempts"][-1])


def test_what_was_made_by_hand_is_not_added_to(tmp_path: Path) -> None:
    """On a host whose keys an operator manages, a starting daemon admits no key by itself."""
    cluster = Cluster(tmp_path)
    made = keys(cluster, "make", "master", "client")
    assert made["changed"] and set(made["public"]) == {"master", "client"}
    assert not keys(cluster, "make", "master")["changed"]
    folder = Path(made["folder"])
    (folder / "authorized").write_text(f"client {made['public']['client']} me\n")
    (folder / "known_masters").write_text(f"127.0.0.1:{cluster.port} {made['public']['master']}\n")
    cluster.master.start()
    try:
        done = wait_until(lambda: (found := cluster.cli("status")).returncode == 0 and found, what="the master answers")
        assert "ALIVE" in done.stdout
        assert sorted(path.name for path in (folder / "private").iterdir()) == ["client.key", "master.key"]
        assert (folder / "authorized").read_text() == f"client {made['public']['client']} me\n"
    finally:
        cluster.master.kill(signal.SIGTERM)


def test_wrong_words_are_answered_in_one_line(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    for words in (["make"], ["make", "boss"], ["show", "master"], ["show"], ["burn"]):
        done = cluster.cli("keys", *words)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("stoker: "), done
