"""playbooks/monitoring.yml and playbooks/token.yml on this machine: what they push is valid, a second run changes nothing."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stoker.security.roles import AccessRole
from stoker.security.tokens import TokenFile

pytestmark = pytest.mark.ansible
REPO = Path(__file__).parents[2]
USER = pwd.getpwuid(os.geteuid()).pw_name


def play(home: Path, name: str, *words: str) -> str:
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    groups = {group: {"hosts": {"localhost": None}} for group in ("masters", "workers", "monitoring")}
    inventory = home / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"all": {"children": groups, "hosts": {"localhost": host}}}))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), f"playbooks/{name}.yml"]
    env = {**os.environ, "HOME": str(home), "SPARK_CONF_DIR": str(home / "conf"), "ANSIBLE_CONFIG": "ansible.cfg"}
    done = subprocess.run(
        [*command, *words], cwd=REPO, env=env, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "reserved name" not in done.stderr
    return done.stdout


def test_monitoring(tmp_path: Path) -> None:
    settings = {"rules_dir": "rules", "targets_dir": "targets.d", "dashboards_dir": "dashboards"}
    values: dict[str, str] = {f"stoker_monitoring_{name}": str(tmp_path / path) for name, path in settings.items()}
    values |= {"stoker_monitoring_owner": USER, "stoker_monitoring_group": str(os.getegid())}
    values |= {"stoker_monitoring_service": "", "stoker_monitoring_token": "secret-of-prometheus"}
    words = [word for name, value in values.items() for word in ("-e", f"{name}={value}")]
    first = play(tmp_path, "monitoring", *words)
    assert "secret-of-prometheus" not in first
    assert "changed=0 " in play(tmp_path, "monitoring", *words)
    assert (tmp_path / "targets.d" / "stoker.token").stat().st_mode & 0o777 == 0o640
    for kind, target in (("master", "localhost:8080"), ("worker", "localhost:8081")):
        [group] = yaml.safe_load((tmp_path / "targets.d" / f"stoker-{kind}.yml").read_text())
        assert (group["targets"], group["labels"]) == ([target], {"__scheme__": "http"})
    assert (tmp_path / "dashboards" / "stoker.json").exists()
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    text = (REPO / "docs" / "monitoring" / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(text.replace("    # ", "    "))  # with the token
    subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, check=True, timeout=60)


def test_token(tmp_path: Path) -> None:
    saved = tmp_path / "ada.token"
    words = ("-e", "token=ada", "-e", "role=operator", "-e", f"save={saved}")
    said = play(tmp_path, "token", *words)
    secret = saved.read_text().strip()
    assert secret not in said
    assert saved.stat().st_mode & 0o777 == 0o600
    found = TokenFile(tmp_path / "conf" / "keys").identify(secret)
    assert found is not None and found.role is AccessRole.OPERATOR
    assert "changed=0 " in play(tmp_path, "token", *words)
    play(tmp_path, "token", "-e", "token=ada", "-e", "state=absent")
    assert TokenFile(tmp_path / "conf" / "keys").identify(secret) is None
