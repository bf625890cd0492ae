"""The collection: built from the checkout, installed elsewhere, and run by name without the project's ansible.cfg."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

import stoker
from tests.support.cluster import free_port

pytestmark = pytest.mark.ansible
REPO = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LINK = REPO / "playbooks" / "collections" / "ansible_collections" / "stoker" / "spark"


def run(*words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "SPARK_", "STOKER_"))}
    env |= {"PATH": f"{BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", **environ}
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collection")
    run("ansible-galaxy", "collection", "build", "--output-path", str(folder), str(REPO), cwd=folder)
    (built,) = folder.glob("*.tar.gz")
    return built


def test_what_is_built_has_the_version_of_the_program() -> None:
    assert yaml.safe_load((REPO / "galaxy.yml").read_text())["version"] == stoker.__version__.replace(".dev", "-dev")


def test_only_what_is_needed_is_in_it(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = {name.rstrip("/") for name in tar.getnames()}
    assert {"playbooks/start_all.yml", "plugins/modules/stoker_info.py", "daemon/stoker/cli/entry.py"} <= names
    tops = {name.split("/")[0] for name in names}
    assert tops <= {
        *("MANIFEST.json", "FILES.json", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"),
        *("CONTRIBUTING.md", "SECURITY.md"),
        *("daemon", "docs", "meta", "playbooks", "plugins", "requirements", "roles", "scripts"),
    }
    assert not [name for name in names if "__pycache__" in name or "/collections/" in name]


def test_every_playbook_has_a_name_that_collections_allow() -> None:
    for path in sorted((REPO / "playbooks").glob("*-*.yml")):
        alias = path.with_name(path.name.replace("-", "_"))
        assert alias.is_symlink() and alias.resolve() == path, f"ln -s {path.name} playbooks/{alias.name}"


def test_a_checkout_finds_itself_as_the_collection() -> None:
    assert LINK.resolve() == REPO


def test_playbooks_of_the_installed_collection_run_by_name(archive: Path, tmp_path: Path) -> None:
    installed = tmp_path / "collections"
    run("ansible-galaxy", "collection", "install", "--offline", "-p", str(installed), str(archive), cwd=tmp_path)
    env = {"SPARK_MASTER_PORT": free_port(), "SPARK_MASTER_WEBUI_PORT": 0, "SPARK_WORKER_WEBUI_PORT": free_port()}
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    groups = {name: {"hosts": {"localhost": None}} for name in ("masters", "workers")}
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        yaml.safe_dump({"all": {"vars": {"spark_env": env}, "hosts": {"localhost": host}, "children": groups}})
    )
    environ = {
        "ANSIBLE_COLLECTIONS_PATH": str(installed),
        "HOME": str(tmp_path),
        "SPARK_CONF_DIR": str(tmp_path / "conf"),
        "STOKER_STATE_DIR": str(tmp_path / "state"),
    }
    try:
        run("ansible-playbook", "-i", str(inventory), "stoker.spark.start_all", cwd=tmp_path, **environ)
        done = run("ansible-playbook", "-i", str(inventory), "stoker.spark.status", cwd=tmp_path, **environ)
        assert "ALIVE" in done.stdout and "Gathering Facts" not in done.stdout
    finally:
        run("ansible-playbook", "-i", str(inventory), "stoker.spark.stop_all", cwd=tmp_path, **environ)
