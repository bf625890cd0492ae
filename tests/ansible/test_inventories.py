"""Inventories: the layers of settings, the example, and conf/slaves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from stoker.config.check import run as check_files

pytestmark = pytest.mark.ansible
REPO = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COMMON = "playbooks/group_vars/all.yml"
ZOOKEEPER_PROPERTIES = ("__stoker_zookeeper_properties", "__stoker_ensemble_properties")


def ansible(*words: str, cwd: Path = REPO, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_CONFIG": str(REPO / "ansible.cfg")}
    for name in ("SPARK_WORKERS", "SPARK_SLAVES", "SPARK_CONF_DIR", "SPARK_HOME", "SPARK_MASTER_HOST"):
        env.pop(name, None)
    env["ANSIBLE_COLLECTIONS_PATH"] = str(REPO / "playbooks" / "collections")
    env |= {"LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", **environ}
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=100, check=False)


def settings(inventory: Path, folder: Path, *words: str) -> dict[str, dict[str, Any]]:
    """Return the variables of every host of the inventory, without connecting to any."""
    common = yaml.safe_load((REPO / COMMON).read_text())
    zookeeper = ("stoker_zookeeper_hosts", "__stoker_zookeepers", *ZOOKEEPER_PROPERTIES)
    wanted = ("stoker_common_env", "stoker_common_properties", *zookeeper)
    play = {
        "hosts": "all",
        "vars": {**{name: common[name] for name in wanted}, "stoker_common_conf_dir": "/etc/stoker"},
        "tasks": [
            {
                "ansible.builtin.copy": {
                    "content": "{{ [stoker_common_env, stoker_common_properties] | to_json }}",
                    "dest": f"{folder}/{{{{ inventory_hostname }}}}.json",
                    "mode": "0600",
                },
                "vars": {"ansible_connection": "local", "ansible_become": False},
            }
        ],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    interpreter = ("-e", f"ansible_python_interpreter={sys.executable}")
    done = ansible("ansible-playbook", "-i", str(inventory), str(folder / "play.yml"), *interpreter, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    return {name: {**env, **properties} for name, (env, properties) in found.items()}


def write(folder: Path, **files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = folder / (name.replace("__", "/") + ".yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return folder


GROUPS = {
    "all": {
        "vars": {"spark_env": {"A": "all", "B": "all", "C": "all", "D": "{{ inventory_hostname }}"}},
        "children": {
            "workers": {
                "hosts": {"w1": None, "w2": {"spark_env": {"C": "w2"}}},
                "children": {"big": {"hosts": {"w3": {}}}},
            },
            "big": {"vars": {"spark_env": {"B": "big"}}},
            "masters": {"hosts": {"m1": None}},
        },
    }
}


def test_a_host_wins_over_its_groups_and_they_over_the_cluster(tmp_path: Path) -> None:
    inventory = write(
        tmp_path / "inventory",
        hosts=GROUPS,
        group_vars__workers={"spark_env": {"B": "workers"}},
        group_vars__all={"spark_defaults": {"spark.a": 1}},
        host_vars__w1={"spark_env": {"A": None, "C": "w1"}, "spark_defaults": {"spark.b": True}},
    )
    found = settings(inventory, tmp_path)
    assert found == {
        "m1": {"A": "all", "B": "all", "C": "all", "D": "m1", "spark.a": 1},
        "w1": {"B": "workers", "C": "w1", "D": "w1", "spark.a": 1, "spark.b": True},
        "w2": {"A": "all", "B": "workers", "C": "w2", "D": "w2", "spark.a": 1},
        "w3": {"A": "all", "B": "big", "C": "all", "D": "w3", "spark.a": 1},
    }
    found = settings(inventory, tmp_path, "-e", '{"spark_env": {"C": "now"}}')
    assert [found[name]["C"] for name in ("m1", "w1", "w2", "w3")] == ["now"] * 4
    assert found["w3"]["B"] == "big"


def test_masters_are_told_of_the_inventorys_zookeepers_unless_told_otherwise(tmp_path: Path) -> None:
    groups = {"zookeepers": {"hosts": {"z1": {"ansible_host": "10.0.0.1"}, "z2": {"ansible_host": "fd00::2"}}}}
    groups["masters"] = {"hosts": {"m1": {}}}
    inventory = write(tmp_path / "inventory", hosts={"all": {"children": groups}})
    assert settings(inventory, tmp_path)["m1"] == {
        "spark.deploy.recoveryMode": "ZOOKEEPER",
        "spark.deploy.zookeeper.url": "10.0.0.1:2181,[fd00::2]:2181",
        "spark.stoker.zookeeper.authFile": "/etc/stoker/zookeeper.auth",
    }
    told = {"spark.deploy.recoveryMode": "FILESYSTEM", "spark.stoker.zookeeper.authFile": None}
    write(tmp_path / "inventory", group_vars__all={"spark_defaults": told})
    found = settings(inventory, tmp_path)["m1"]
    assert found["spark.deploy.recoveryMode"] == "FILESYSTEM" and "spark.stoker.zookeeper.authFile" not in found


def test_a_layer_that_is_no_dictionary_is_named(tmp_path: Path) -> None:
    inventory = write(tmp_path / "inventory", hosts=GROUPS, group_vars__workers={"spark_env": "SPARK_WORKER_CORES=4"})
    with pytest.raises(AssertionError, match="spark_env of group workers must be a dictionary"):
        settings(inventory, tmp_path)


def test_ansible_lists_the_hosts_of_the_example() -> None:
    done = ansible("ansible-inventory", "-i", "inventory/example", "--list")
    assert done.returncode == 0 and "WARN" not in done.stderr, done.stderr
    listed = json.loads(done.stdout)
    assert listed["masters"]["hosts"] == [f"master{number}.example.com" for number in (1, 2, 3)]
    assert listed["workers"]["children"] == ["big_memory"] and len(listed["workers"]["hosts"]) == 20
    assert len(listed["big_memory"]["hosts"]) == 4 and len(listed["zookeepers"]["hosts"]) == 3
    assert len(listed["_meta"]["hostvars"]) == 30, "every host has settings"


def test_the_example_is_an_inventory_with_settings_that_daemons_accept(tmp_path: Path) -> None:
    found = settings(REPO / "inventory" / "example", tmp_path)
    assert len(found) == 3 + 24 + 3
    memory = {
        name: found[f"{name}.example.com"].get("SPARK_WORKER_MEMORY") for name in ("worker01", "worker03", "worker21")
    }
    assert memory == {"worker01": "28g", "worker03": "4g", "worker21": "220g"}
    one = found["worker03.example.com"]
    assert one["spark.deploy.zookeeper.url"] == ",".join(f"zk{number}.example.com:2181" for number in (1, 2, 3))
    for host in found.values():
        env, defaults = tmp_path / "spark-env", tmp_path / "spark-defaults.conf"
        env.write_text("".join(f"{name}='{value}'\n" for name, value in host.items() if name.isupper()))
        lines = (f"{name} {str(value).lower() if value is True else value}\n" for name, value in host.items())
        defaults.write_text("".join(line for line in lines if line.startswith("spark.")))
        assert check_files(_args(env, defaults), {}) == 0


def _args(*files: Path) -> Any:
    import argparse

    return argparse.Namespace(action="check", files=[str(path) for path in files], kind=None, strict=False)


def from_slaves(tmp_path: Path, text: str, **environ: Any) -> dict[str, Any]:
    """As Ansible reads it, in both ways, which must agree."""
    path = tmp_path / "slaves"
    path.write_text(text)
    script = str(REPO / "inventory" / "from-slaves")
    seen = []
    for inventory in (script, str(tmp_path / "hosts.yml")):
        done = ansible(script, str(path), **environ)
        assert done.returncode == 0, done.stderr
        (tmp_path / "hosts.yml").write_text(done.stdout)
        done = ansible("ansible-inventory", "-i", inventory, "--list", SPARK_WORKERS=str(path), **environ)
        assert done.returncode == 0, done.stderr
        listed = json.loads(done.stdout)
        groups = {name: listed.get(name, {}).get("hosts", []) for name in ("masters", "workers")}
        variables = listed["_meta"]["hostvars"]
        seen.append(
            {**groups, "local": {name for name in variables if variables[name].get("ansible_connection") == "local"}}
        )
        seen[-1]["users"] = {
            name: found["ansible_user"] for name, found in variables.items() if "ansible_user" in found
        }
    assert seen[0] == seen[1]
    return seen[0]


def test_conf_slaves_becomes_an_inventory(tmp_path: Path) -> None:
    found = from_slaves(tmp_path, "# the cluster\n\nnode1\n  node2  # slow\r\nalice@node3\n#node4\nnode1\n10.0.0.7\n")
    (master,) = found["masters"]
    assert found["workers"] == ["node1", "node2", "node3", "10.0.0.7"]
    assert found["users"] == {"node3": "alice"} and found["local"] == {master}


def test_localhost_alone_is_this_machine_and_beside_others_goes_by_its_name(tmp_path: Path) -> None:
    alone = from_slaves(tmp_path, "localhost\n")
    assert alone["masters"] == alone["workers"] == ["localhost"] and alone["local"] == {"localhost"}
    own = socket.gethostname()
    several = from_slaves(tmp_path, f"localhost\nnode1\n{own}\n")
    assert several["masters"] == [own] and several["workers"] == [own, "node1"] and several["local"] == {own}
    elsewhere = from_slaves(tmp_path, "node1\n", SPARK_MASTER_HOST="head")
    assert elsewhere == {"masters": ["head"], "workers": ["node1"], "local": set(), "users": {}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("node1\n-p 22 node2\n", "line 2: '-p 22 node2' is not HOST or USER@HOST"),
        ("# nobody\n", "names no host"),
        ("{{ lookup('pipe', 'id') }}\n", "line 1"),
    ],
)
def test_a_line_that_is_no_host_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "slaves").write_text(text)
    done = ansible(str(REPO / "inventory" / "from-slaves"), str(tmp_path / "slaves"))
    assert done.returncode == 1 and says in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stdout == ""


def test_no_file_at_all_is_said(tmp_path: Path) -> None:
    done = ansible(str(REPO / "inventory" / "from-slaves"), "--list", cwd=tmp_path)
    assert done.returncode == 1 and "SPARK_WORKERS" in done.stderr
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "slaves").write_text("node1\n")
    done = ansible(str(REPO / "inventory" / "from-slaves"), "--list", cwd=tmp_path)
    assert json.loads(done.stdout)["workers"]["hosts"] == ["node1"]
