"""What a worker offers of named resources: files, scripts and tools that do anything, and what a job is told."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from stoker.config.resources import ResourceSetting, ResourceSettings
from stoker.core.model.resources import Addresses
from stoker.core.model.values import ApplicationDescription, Command, SparkProgram
from stoker.engines.launch import Launch
from stoker.errors import ConfigError
from stoker.worker.devices import environment
from stoker.worker.devices.discovery import discover
from tests.support.wait import wait_until

ENVIRON = {"PATH": os.environ["PATH"]}


def script(folder: Path, body: str, name: str = "find") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def found(folder: Path, body: str, amount: int = 2, timeout: float = 10.0) -> Addresses:
    wanted = ResourceSetting(name="gpu", amount=amount, script=script(folder, body))
    return discover(ResourceSettings(wanted=(wanted,), timeout=timeout), ENVIRON)


def test_a_script_says_which_addresses_there_are(tmp_path: Path) -> None:
    assert found(tmp_path, """echo '{"name": "gpu", "addresses": ["1", "0"]}'""") == (("gpu", ("1", "0")),)


def test_of_more_addresses_than_the_amount_the_first_are_offered(tmp_path: Path) -> None:
    assert found(tmp_path, """echo '{"name": "gpu", "addresses": ["1", "0", "2"]}'""") == (("gpu", ("1", "0")),)


@pytest.mark.parametrize(
    "body, why",
    [
        ("exit 3", "exited with 3"),
        ("echo no card >&2; exit 1", "exited with 1: no card"),
        ("kill -9 $$", "was ended by signal 9"),
        ("echo hello", "printed 'hello': it must print"),
        ("true", "printed nothing: it must print"),
        ("printf '\\377\\376'", "printed .*: it must print"),
        ("echo '[]'", "it must print"),
        ("""echo '{"name": "fpga", "addresses": ["0"]}'""", "it must print"),
        ("""echo '{"name": "gpu", "addresses": "01"}'""", "no list of addresses"),
        ("""echo '{"name": "gpu", "addresses": [0, 1]}'""", "no list of addresses"),
        ("""echo '{"name": "gpu", "addresses": []}'""", r"amount is 2, and this machine has 0 \(none\)"),
        ("""echo '{"name": "gpu", "addresses": ["0"]}'""", r"amount is 2, and this machine has 1 \(0\)"),
        ("""echo '{"name": "gpu", "addresses": ["0", "0"]}'""", "the address '0' twice"),
        ("""echo '{"name": "gpu", "addresses": ["0,1", "2"]}'""", "'0,1' is not an address"),
        ("""echo '{"name": "gpu", "addresses": ["", "1"]}'""", "'' is not an address of gpu: use 1 to 256 ASCII"),
        ("yes", "printed more than 65536 bytes"),
        ("yes '[' | head -c 60000 | tr -d '\\n'", "printed .*: it must print"),
        ("printf 'no\\033[31m\\001card' >&2; exit 1", r"exited with 1: no\?\[31m\?card$"),
    ],
)
def test_a_script_that_does_anything_else_stops_the_start_with_one_line(tmp_path: Path, body: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as raised:
        found(tmp_path, body)
    assert "\n" not in str(raised.value) and "spark.worker.resource.gpu." in str(raised.value)


def test_a_script_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"has not ended after 0\.5 s"):
        found(tmp_path, f"sleep 1000 & echo $! > {pid_file}; wait", timeout=0.5)
    assert time.monotonic() - began < 5
    status = Path(f"/proc/{pid_file.read_text().strip()}/status")
    wait_until(lambda: not status.exists() or "\nState:\tZ" in status.read_text(), what="the end of its child")


@pytest.mark.parametrize(("mode", "folder"), [(0o757, 0o755), (0o755, 0o777)], ids=["itself", "its folder"])
def test_a_script_that_others_can_change_is_not_run(tmp_path: Path, mode: int, folder: int) -> None:
    place = tmp_path / "scripts"
    place.mkdir()
    path = script(place, f"touch {tmp_path}/ran")
    Path(path).chmod(mode)
    place.chmod(folder)
    wanted = ResourceSetting(name="gpu", amount=1, script=path)
    with pytest.raises(ConfigError, match=f"other users can change it: chmod o-w {path if mode == 0o757 else place}$"):
        discover(ResourceSettings(wanted=(wanted,)), ENVIRON)
    place.chmod(0o1777)  # as /tmp: others cannot put another file in its place
    Path(path).chmod(0o755)
    with pytest.raises(ConfigError, match="printed nothing"):
        discover(ResourceSettings(wanted=(wanted,)), ENVIRON)


def test_a_script_that_is_missing_or_not_executable_stops_the_start(tmp_path: Path) -> None:
    for name, why in ((tmp_path / "none", "No such file"), (tmp_path, "Permission denied")):
        wanted = ResourceSetting(name="gpu", amount=1, script=str(name))
        with pytest.raises(ConfigError, match=f"cannot be run: {why}"):
            discover(ResourceSettings(wanted=(wanted,)), ENVIRON)


def test_an_amount_without_a_source_stops_the_start() -> None:
    wanted = ResourceSetting(name="fpga", amount=1)
    with pytest.raises(ConfigError, match=r"nothing says which addresses of fpga .*set spark\.worker"):
        discover(ResourceSettings(wanted=(wanted,), looks_for_gpus=True), ENVIRON)


def entry(name: str, addresses: object, component: str = "spark.worker") -> dict[str, object]:
    return {"id": {"componentName": component, "resourceName": name}, "addresses": addresses}


def test_the_file_wins_over_scripts(tmp_path: Path) -> None:
    file = tmp_path / "resources.json"
    file.write_text(json.dumps([entry("gpu", ["a", "b"]), entry("fpga", ["f"]), entry("gpu", ["x"], "spark.driver")]))
    wanted = ResourceSetting(name="gpu", amount=1, script=str(tmp_path / "not-run"))
    assert discover(ResourceSettings(wanted=(wanted,), file=file), ENVIRON) == (("fpga", ("f",)), ("gpu", ("a",)))


@pytest.mark.parametrize(
    "content, why",
    [
        ("", "is not JSON"),
        ("[" * 50_000, "is not JSON"),
        ("{}", "is malformed"),
        ("[1]", "is malformed"),
        (json.dumps([{"id": {}, "addresses": []}]), "is malformed"),
        (json.dumps([entry("gpu", ["0"]), entry("gpu", ["1"])]), "two entries for 'gpu'"),
        (json.dumps([entry("gpu", ["0", "0"])]), "'0' twice"),
        (json.dumps([entry("gpu", None)]), "no list of addresses"),
    ],
)
def test_a_malformed_file_stops_the_start(tmp_path: Path, content: str, why: str) -> None:
    file = tmp_path / "resources.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=why):
        discover(ResourceSettings(file=file), ENVIRON)
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        discover(ResourceSettings(file=file), ENVIRON)


def test_auto_asks_the_tools_of_both_makers(tmp_path: Path) -> None:
    auto, environ = ResourceSettings(looks_for_gpus=True), {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert discover(auto, {"PATH": str(tmp_path)}) == ()
    script(tmp_path, """echo '{"card0": {"GPU ID": "0x74a1"}, "card1": {}, "system": {}}'""", "rocm-smi")
    assert discover(auto, environ) == (("gpu", ("0", "1")),)
    script(tmp_path, "yes '[' | head -c 60000", "rocm-smi")
    assert discover(auto, environ) == ()
    script(tmp_path, """echo '{"card0": {"GPU ID": "0x74a1"}, "card1": {}, "system": {}}'""", "rocm-smi")
    for words in ("echo No devices were found; exit 6", "echo No devices were found"):
        script(tmp_path, words, "nvidia-smi")
        assert discover(auto, environ) == (("gpu", ("0", "1")),)
    script(tmp_path, "echo 0; echo 1; echo 2", "nvidia-smi")
    assert discover(auto, environ) == (("gpu", ("0", "1", "2")),)
    with pytest.raises(ConfigError, match="amount is 4, and this machine has 3"):
        discover(ResourceSettings(wanted=(ResourceSetting(name="gpu", amount=4),), looks_for_gpus=True), environ)


def test_jobs_see_their_own_gpus_and_others_none() -> None:
    offered = (("fpga", ("f",)), ("gpu", ("0", "1", "2")))
    held = (("gpu", ("0", "2")),)
    seen = environment.variables(held, offered)
    assert (seen["CUDA_VISIBLE_DEVICES"], seen["ROCR_VISIBLE_DEVICES"]) == ("0,2", "0,2")
    assert json.loads(seen["STOKER_RESOURCES"]) == {"gpu": ["0", "2"]}
    nothing = environment.variables((), offered)
    assert (nothing["CUDA_VISIBLE_DEVICES"], nothing["STOKER_RESOURCES"]) == ("", "{}")
    assert environment.variables((), ()) == {}
    assert "CUDA_VISIBLE_DEVICES" not in environment.variables((("fpga", ("f",)),), (("fpga", ("f",)),))


def test_spark_s_executors_read_their_addresses_from_a_file(tmp_path: Path) -> None:
    held = (("gpu", ("0",)),)
    app = ApplicationDescription(name="a", command=Command(argv=("Main", "--x")), spark=SparkProgram(release="4.3"))
    told = environment.application_with(app, held, tmp_path)
    assert told.command.argv == ("Main", "--x", "--resourcesFile", str(tmp_path / environment.FILE))
    assert environment.application_with(app, (), tmp_path) is app
    launch = environment.with_file(Launch(["java"], {}), held, "spark.executor")
    assert json.loads(launch.files[environment.FILE]) == [entry("gpu", ["0"], "spark.executor")]
