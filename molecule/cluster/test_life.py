"""The cluster's life, as its operator sees it. The tests follow each other: each leaves a whole cluster to the next."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pexpect
import pytest
import yaml

from tests.support.site import LIMIT, REPO, STEADY, Site
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(400)
PASSWORD = "correct horse"
UNREACHABLE = 4  # exit code of ansible-playbook

COUNT = """
import sys
print(sum(map(int, sys.argv[1:])))
"""


def test_every_worker_is_registered(site: Site) -> None:
    assert site.workers() == {"worker1", "worker2"}
    shown = site.play("status").output
    assert all(re.search(rf"{name} .* ALIVE ", shown) for name in ("master1", "worker1", "worker2")), shown


def test_the_doctor_finds_nothing_and_then_what_is_broken(site: Site) -> None:
    well = site.play("doctor", "-e", "verbose=true").output
    assert "2 of 2 get new jobs" in well and not site.play("doctor").changed
    worker = site.hosts["worker1"]
    assert "accepts connections" in site.play("doctor", "--limit", "worker1", "-e", "verbose=true").output
    worker.ssh("chmod 644 /etc/stoker/keys/private/worker.key")
    found = site.play("doctor", check=False)
    worker.ssh("chmod 600 /etc/stoker/keys/private/worker.key")
    assert found.code and "worker1 has problems" in found.output and "chmod" in found.output, found.output
    assert "worker2 has problems" not in found.output and "master1 has problems" not in found.output
    site.play("doctor")


def test_a_driver_is_submitted_and_its_output_is_read(site: Site) -> None:
    site.hosts["master1"].write("/srv/count.py", COUNT)
    played = site.play("submit", "-e", '{"app": "/srv/count.py", "args": ["20", "22"], "wait": true}')
    assert re.search(r"^\s*- '?42'?$", played.output, re.MULTILINE), played.output
    found = re.search(r"driver-\d{14}-\d{4}", played.output)
    assert found and site.stoker("logs", found[0]) == "42\n"


def test_a_driver_is_killed_once(site: Site) -> None:
    job = site.submit(STEADY)
    wait_until(lambda: site.running("steady-job"))
    assert site.play("kill", "-e", f"id={job}").changed == {"master1": 1}
    wait_until(lambda: not site.running("steady-job"))
    assert not site.play("kill", "-e", f"id={job}").changed


def test_a_worker_is_removed_and_added_again_while_a_driver_runs_on(site: Site, steady: dict[str, int]) -> None:
    """A host that was taken out is not let in any more, until the inventory has it again."""
    (busy,) = steady
    spare = ({"worker1", "worker2"} - {busy}).pop()
    site.play("remove-worker", "-e", f"worker={spare}")
    assert site.workers() == {busy}
    workers = site.inventory["all"]["children"]["workers"]["hosts"]
    taken_out = workers.pop(spare)
    said = site.hosts[spare].ssh("runuser -u stoker -- stoker status --timeout 2s", check=False)
    assert said.returncode and "does not admit our key" in said.stderr, said.stderr

    workers[spare] = taken_out
    played = site.play("start-all")
    assert site.workers() == {busy, spare}
    assert busy not in played.changed, played.output
    assert not any(worker["draining"] for worker in site.status()["workers"])


def test_a_wrong_setting_is_named_and_changes_nothing(site: Site, steady: dict[str, int]) -> None:
    settings = site.inventory["all"]["vars"]["spark_env"]
    settings["SPARK_WORKER_CORE"] = 4
    played = site.play("start-all", check=False)
    del settings["SPARK_WORKER_CORE"]
    assert played.code == 2 and "SPARK_WORKER_CORE" in played.output and "SPARK_WORKER_CORES" in played.output
    assert "Traceback" not in played.output
    assert not site.play("start-all").changed
    assert site.workers() == {"worker1", "worker2"}


def test_a_host_that_is_not_there_is_named_and_holds_up_nobody(site: Site, steady: dict[str, int]) -> None:
    workers = site.inventory["all"]["children"]["workers"]["hosts"]
    workers["worker9"] = {"ansible_host": site.hosts["master1"].address.rpartition(".")[0] + ".99"}
    played = site.play("start-all", check=False)
    del workers["worker9"]
    assert played.code == UNREACHABLE and "misses workers of worker9" in played.output, played.output
    assert "Traceback" not in played.output
    assert site.workers() == {"worker1", "worker2"}


def test_an_inventory_without_masters_is_refused(site: Site) -> None:
    groups = site.inventory["all"]["children"]
    masters = groups.pop("masters")
    played = site.play("start-all", check=False)
    groups["masters"] = masters
    assert played.code == 2 and "group masters" in played.output and not played.changed, played.output
    assert site.workers() == {"worker1", "worker2"}


def test_keys_change_under_a_running_driver(site: Site, steady: dict[str, int]) -> None:
    def authorized() -> set[str]:
        return set(site.hosts["master1"].ssh("grep", "-v", "^#", "/etc/stoker/keys/authorized").stdout.splitlines())

    before = {line for line in authorized() if " controller:" not in line}
    site.play("rotate-keys")
    after = authorized()
    assert len(before) >= 5 and not before & after, "every host's old keys are refused"
    assert {line.split()[2] for line in before} <= {line.split()[2] for line in after}
    assert site.workers() == {"worker1", "worker2"}
    refused = site.play("rotate-keys", "--limit", "worker1", check=False)
    assert refused.code and "include them, as in --limit HOST,masters" in refused.output
    assert authorized() == after


def test_every_host_comes_back_after_a_reboot(site: Site) -> None:
    job = site.submit(STEADY, "--supervise")
    wait_until(lambda: site.running("steady-job"))
    for name in ("worker1", "worker2", "master1"):
        site.hosts[name].reboot()
    wait_until(lambda: site.workers() == {"worker1", "worker2"}, within=60)
    wait_until(lambda: site.running("steady-job"), within=60, what="the supervised driver runs again")
    site.stoker("kill", job)
    wait_until(lambda: not site.running("steady-job"))
    assert not site.play("start-all").changed


@pytest.mark.parametrize(("typed", "code"), [(PASSWORD, 0), ("wrong horse", UNREACHABLE)], ids=["right", "wrong"])
def test_passwords_instead_of_keys(site: Site, tmp_path: Path, typed: str, code: int) -> None:
    """Spark's SPARK_SSH_FOREGROUND: the password is asked for once, and used on one host after the other."""
    reach = yaml.safe_load((site.hosts.folder / "connection.yml").read_text())
    for host in site.hosts:
        host.exec("sh", "-c", f"id alice || useradd --create-home alice; echo 'alice:{PASSWORD}' | chpasswd")
        host.write("/etc/sudoers.d/alice", "alice ALL=(ALL) NOPASSWD: ALL\n")
        settings = reach["all"]["hosts"][host.name]
        del settings["ansible_ssh_private_key_file"]
        settings["ansible_user"] = "alice"
        settings["ansible_ssh_common_args"] += " -o PubkeyAuthentication=no"
        settings["ansible_control_path_dir"] += f"/{code}"  # no connection that is open already
    connection = tmp_path / "connection.yml"
    connection.write_text(yaml.safe_dump(reach))
    # sshd takes its time to say no.
    limit = ["--limit", "worker1"] if code else []
    program, *words = site.command(
        "stop-all", "--check", "--become", "--ask-pass", "--forks", "1", *limit, connection=connection
    )
    ended, output = typed_at_prompt(site, [program, *words], typed)
    assert ended == code, output
    assert output.count("SSH password:") == 1 and typed not in output
    assert len(re.findall(r"unreachable=0 +failed=0", output)) == (0 if code else 3), output


def typed_at_prompt(site: Site, command: list[str], password: str) -> tuple[int, str]:
    """Exit code and output of a playbook that asks for the password at a terminal."""
    program, *words = command
    child = pexpect.spawn(program, words, cwd=str(REPO), env=site.environment(), timeout=LIMIT, encoding="utf-8")
    child.logfile_read = io.StringIO()
    child.expect("SSH password:")
    child.sendline(password)
    child.expect(pexpect.EOF)
    child.close()
    return int(child.exitstatus), child.logfile_read.getvalue()
