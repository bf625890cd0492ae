"""Modules document their options correctly, and do what they document: on a real cluster, in check mode too."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils.basic
import pytest
import yaml

from tests.support.cluster import Cluster

pytestmark = pytest.mark.ansible
REPO = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "SPARK_", "STOKER_"))},
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "LC_ALL": "C.UTF-8",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_COLLECTIONS_PATH": str(REPO / "playbooks" / "collections"),
}
MODULES = sorted((REPO / "plugins" / "modules").glob("*.py"))
names = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def docs() -> dict[str, Any]:
    """Return what ansible-doc shows of every module; it fails if it cannot read one."""
    wanted = [f"stoker.spark.{path.stem}" for path in MODULES]
    done = subprocess.run(
        [str(BIN / "ansible-doc"), "--json", "-t", "module", *wanted],
        env=ENV,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class _Seen(Exception):
    """The module has declared its options."""


def specification(path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the arguments that the module passes to AnsibleModule."""
    seen: dict[str, Any] = {}

    def note(**arguments: Any) -> None:
        seen.update(arguments)
        raise _Seen

    monkeypatch.setattr(ansible.module_utils.basic, "AnsibleModule", note)
    monkeypatch.syspath_prepend(REPO / "playbooks" / "collections")
    spec = importlib.util.spec_from_file_location(f"tested_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(_Seen):
        module.main()
    return seen


def promised(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return documented options in the form of an argument_spec, without their descriptions."""
    spec = {}
    for name, option in options.items():
        kept = {
            key: value for key, value in option.items() if key in ("type", "elements", "choices", "default", "required")
        }
        if "suboptions" in option:
            kept["options"] = promised(option["suboptions"])
        spec[name] = kept
    return spec


def plain(spec: Mapping[str, Any]) -> dict[str, Any]:
    taken = {name: {key: value for key, value in option.items() if key != "no_log"} for name, option in spec.items()}
    return {
        name: {**option, "options": plain(option["options"])} if "options" in option else option
        for name, option in taken.items()
    }


@names
def test_documentation_is_the_argument_specification(
    path: Path, docs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = specification(path, monkeypatch)
    assert promised(docs[f"stoker.spark.{path.stem}"]["doc"]["options"]) == plain(seen["argument_spec"])
    assert seen["supports_check_mode"] is True


@names
def test_examples_and_returned_values_are_documented(path: Path, docs: dict[str, Any]) -> None:
    found = docs[f"stoker.spark.{path.stem}"]
    tasks = yaml.safe_load(found["examples"])
    assert tasks and all(re.match(r"[A-Z]", task["name"]) for task in tasks)
    for task in tasks:
        used = task.get(f"stoker.spark.{path.stem}")
        assert used is not None, f"an example without stoker.spark.{path.stem}: {task}"
        assert set(used) <= set(found["doc"]["options"])
    assert found["return"] and all(value["description"] and value["returned"] for value in found["return"].values())


def run(cluster: Cluster, module: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    options = {
        **options,
        "command": str(BIN / "stoker"),
        "environment": {"SPARK_CONF_DIR": cluster.environ["SPARK_CONF_DIR"]},
    }
    options["master"] = cluster.url
    words = [
        "-m",
        f"stoker.spark.{module}",
        "-a",
        json.dumps(options),
        "-e",
        f"ansible_python_interpreter={sys.executable}",
    ]
    done = subprocess.run(
        [str(BIN / "ansible"), "localhost", "-c", "local", *words, *(["--check"] if check else [])],
        env=ENV,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert " => " in done.stdout, done.stdout + done.stderr
    head, _, answer = done.stdout.partition(" => ")
    return {"failed": "FAILED" in head, **json.loads(answer)}


def test_a_named_driver_is_submitted_once_and_killed_once(cluster: Cluster) -> None:
    wanted: dict[str, Any] = {"name": "service", "app": "/bin/sleep", "args": ["600"], "options": ["--supervise"]}
    assert run(cluster, "stoker_driver", check=True, **wanted)["changed"]
    assert cluster.status()["active_drivers"] == []
    first = run(cluster, "stoker_driver", **wanted)
    assert first["changed"] and first["id"].startswith("driver-")
    again = run(cluster, "stoker_driver", **wanted)
    assert not again["changed"] and again["id"] == first["id"]
    cluster.wait_for(first["id"], "RUNNING")
    assert run(cluster, "stoker_driver", check=True, state="killed", name="service")["changed"]
    assert cluster.status(first["id"])["state"] == "RUNNING"
    assert run(cluster, "stoker_driver", state="killed", name="service")["ids"] == [first["id"]]
    cluster.wait_for(first["id"], "KILLED")
    for gone in ({"name": "service"}, {"id": first["id"]}):
        assert not run(cluster, "stoker_driver", state="killed", **gone)["changed"]


def test_what_cannot_be_is_said_in_one_line(cluster: Cluster) -> None:
    failed = run(cluster, "stoker_driver", state="killed")
    assert failed["failed"] and "state is killed but any of the following are missing: id, name" in failed["msg"]
    failed = run(cluster, "stoker_driver", app="/nowhere/job.py")
    assert failed["failed"] and "/nowhere/job.py" in failed["msg"] and "\n" not in failed["msg"]
    failed = run(cluster, "stoker_driver", app="/bin/sh", args=["-c", "echo out; exit 3"], wait=True)
    assert failed["failed"] and failed["rc"] == 3 and failed["stdout"] == "out\n"


def test_info_is_what_status_says_and_changes_nothing(cluster: Cluster) -> None:
    found = run(cluster, "stoker_info", check=True)
    assert not found["changed"] and found["status"]["url"] == cluster.url and len(found["alive"]) == 1
    failed = run(cluster, "stoker_info", expected=[{"name": "there", "host": "10.9.8.7"}], timeout=1)
    assert failed["failed"] and "misses workers of there" in failed["msg"]
