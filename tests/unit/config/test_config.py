"""The values of settings, and the configuration of a daemon and a client."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.config import types as parse
from stoker.config.client import client_config
from stoker.config.machine import cpu_quotas, memory_limits_mib, usable_cores
from stoker.config.sources import load_settings
from stoker.errors import ConfigError, UsageError
from tests.support.cgroups import control_group
from tests.support.settings import empty_environ, master, worker


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return empty_environ(tmp_path)


# --- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("512m", 512),
        ("2g", 2048),
        ("1000M", 1000),
        ("2G", 2048),
        ("1t", 1048576),
        ("700", 700),
        ("2048k", 2),
        ("1gb", 1024),
    ],
)
def test_memory(text: str, mib: int) -> None:
    assert parse.parse_memory(text) == mib


@pytest.mark.parametrize("text", ["", "0", "g", "-1g", "1.5g", "1x", "1 2g", "512k", "999999999999999999999g"])
def test_bad_memory(text: str) -> None:
    with pytest.raises(UsageError, match="512m or 2g"):
        parse.parse_memory(text)


@pytest.mark.parametrize(("text", "seconds"), [("60", 60), ("60s", 60), ("5min", 300), ("1h", 3600), ("500ms", 0.5)])
def test_duration(text: str, seconds: float) -> None:
    assert parse.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("spark://h:7077", ("h:7077",)),
        ("spark://h", ("h:7077",)),
        ("spark://h1:1,h2:2", ("h1:1", "h2:2")),
        ("spark://[::1]:7077", ("[::1]:7077",)),
        ("spark://[::1]", ("[::1]:7077",)),
        ("SPARK://h:1/", ("h:1",)),
        ("spark://h:1,h:1", ("h:1",)),
    ],
)
def test_master_url(url: str, addresses: tuple[str, ...]) -> None:
    assert parse.parse_master_url(url) == addresses


@pytest.mark.parametrize(
    "url",
    ["", "h:7077", "http://h:7077", "spark://", "spark://:7077", "spark://h:0", "spark://h:99999", "spark://h:x",
     "spark://h1:1,,h2:2", "spark://h 1:1", "spark://user@h:1", "spark://h:1/path", "spark://-h:1"],
)  # fmt: skip
def test_bad_master_url(url: str) -> None:
    with pytest.raises(UsageError, match="spark://host"):
        parse.parse_master_url(url)


def test_an_ipv6_address_without_brackets_is_named() -> None:
    for url in ("spark://::1:7077", "spark://fd00::1"):
        with pytest.raises(UsageError, match="in brackets, like"):
            parse.parse_master_url(url)


@given(st.text(max_size=40))
def test_any_text_parses_or_is_refused(text: str) -> None:
    for function in (
        parse.parse_memory,
        parse.parse_duration,
        parse.parse_master_url,
        parse.parse_bool,
        parse.parse_port,
    ):
        try:
            function(text)
        except UsageError as error:
            assert "\n" not in str(error)


# --- worker and client ---------------------------------------------------------------------------------------------


def test_worker_defaults(environ: dict[str, str], tmp_path: Path) -> None:
    found = worker(environ)
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    assert found.cores == len(os.sched_getaffinity(0))
    assert 1024 <= found.memory_mib <= max(1024, pages - 1024)
    assert (found.port, found.webui_port, found.cleanup.is_on) == (0, 8081, True)
    assert found.work_dir == tmp_path / ".local/state/stoker/work"


def test_worker_options_and_variables(environ: dict[str, str], tmp_path: Path) -> None:
    environ |= {"SPARK_WORKER_CORES": "3", "SPARK_WORKER_MEMORY": "2g", "SPARK_WORKER_DIR": str(tmp_path / "w")}
    environ |= {"SPARK_LOCAL_DIRS": "/a, /b", "SPARK_PUBLIC_DNS": "pub"}
    found = worker(environ, "-c", "5")
    assert (found.cores, found.memory_mib, found.work_dir) == (5, 2048, tmp_path / "w")
    assert (found.local_dirs, found.public_dns) == ((Path("/a"), Path("/b")), "pub")


@pytest.mark.parametrize("words", [("-c", "0"), ("-c", "x"), ("-m", "0"), ("-m", "k"), ("-p", "-1")])
def test_bad_worker_options(environ: dict[str, str], words: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        worker(environ, *words)


def test_rolling_interval(environ: dict[str, str]) -> None:
    environ["SPARK_WORKER_OPTS"] = "-Dspark.executor.logs.rolling.time.interval=hourly"
    assert worker(environ).log_rolling.interval == 3600
    environ["SPARK_WORKER_OPTS"] = "-Dspark.executor.logs.rolling.time.interval=often"
    with pytest.raises(ConfigError, match="daily, hourly"):
        worker(environ)


def test_where_clients_find_the_master(environ: dict[str, str], tmp_path: Path) -> None:
    nothing = argparse.Namespace(master=None)
    del environ["SPARK_LOCAL_IP"]
    with pytest.raises(UsageError, match="no master is known"):
        client_config(nothing, environ)
    (tmp_path / "client").write_text("spark://profile:1\n")
    assert client_config(nothing, environ).masters == ("profile:1",)
    (tmp_path / "spark-env").write_text("SPARK_MASTER_HOST=env\nSPARK_MASTER_PORT=2\n")
    assert client_config(nothing, environ).masters == ("env:2",)
    environ["MASTER"] = "spark://variable:3"
    assert client_config(nothing, environ).masters == ("variable:3",)
    assert client_config(argparse.Namespace(master="spark://option:4"), environ).masters == ("option:4",)


def test_forwarded_environment(environ: dict[str, str]) -> None:
    environ |= {"MASTER": "spark://h", "SPARK_X": "1", "SPARK_HOME": "/h", "OTHER": "2"}
    assert client_config(argparse.Namespace(), environ).forwarded_env == {"SPARK_X": "1"}


def test_forwarded_environment_on_request_is_all_but_ours(environ: dict[str, str]) -> None:
    environ |= {"MASTER": "spark://h:1", "MY_LEVEL": "2", "STOKER_KEYS_DIR": "/here/keys", "SPARK_X": "1"}
    words = argparse.Namespace(conf=["spark.standalone.submit.filterEnvironment=false"])
    forwarded = client_config(words, environ).forwarded_env
    assert (forwarded["MY_LEVEL"], forwarded["SPARK_X"]) == ("2", "1")
    assert not [name for name in forwarded if name.startswith("STOKER_")]


def test_forwarded_environment_leaves_this_machine_s_own_out(environ: dict[str, str]) -> None:
    environ |= {"MASTER": "spark://h", "SPARK_ENV_LOADED": "1", "SPARK_LOCAL_HOSTNAME": "x"}
    assert client_config(argparse.Namespace(), environ).forwarded_env == {}


def test_an_address_of_version_6_in_spark_env(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "spark-env").write_text("SPARK_MASTER_HOST=::1\n")
    assert client_config(argparse.Namespace(master=None), environ).masters == ("[::1]:7077",)
    assert master(environ).host == "::1"


@pytest.mark.parametrize(
    ("variables", "properties", "source"),
    [({"MASTER": "local[4]"}, "", "^MASTER: 'local"), ({}, "spark.master yarn\n", r"^spark\.master in .*: 'yarn'")],
)
def test_a_master_that_is_none_is_blamed_on_its_source(
    environ: dict[str, str], tmp_path: Path, variables: dict[str, str], properties: str, source: str
) -> None:
    (tmp_path / "spark-defaults.conf").write_text(properties)
    with pytest.raises(UsageError, match=source):
        client_config(argparse.Namespace(master=None), environ | variables)


@pytest.mark.parametrize("text", ["spark.cores.max", "=1", "spark.cores.max=few", "spark.executor.memory=1x"])
def test_bad_conf_options(environ: dict[str, str], text: str) -> None:
    with pytest.raises(UsageError, match="--conf"):
        client_config(argparse.Namespace(master="spark://h", conf=[text]), environ)


def test_a_machine_whose_name_is_loopback_is_told(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    del environ["SPARK_LOCAL_IP"]
    found = master(environ)
    assert found.host == "localhost"
    assert any("no other machine can connect" in line for line in found.warnings)


def test_jobs_inherit_what_spark_env_exports_and_none_of_the_daemons_own(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "spark-env").write_text("JAVA_HOME=/opt/java\nSPARK_WORKER_INSTANCES=3\nOUR_REGION=north\n")
    found = worker({**environ, "HADOOP_CONF_DIR": "/etc/hadoop", "TOKEN_OF_THE_OPERATOR": "secret"})
    jobs = {name: found.job_environ.get(name) for name in ("JAVA_HOME", "OUR_REGION", "HADOOP_CONF_DIR")}
    assert jobs == {"JAVA_HOME": "/opt/java", "OUR_REGION": "north", "HADOOP_CONF_DIR": "/etc/hadoop"}
    assert found.instances == 3
    assert not {"SPARK_WORKER_INSTANCES", "TOKEN_OF_THE_OPERATOR"} & set(found.job_environ)


def test_submissions_may_name_what_spark_env_exports_for_programs(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "spark-env").write_text("OUR_REGION=north\nSPARK_MASTER_OPTS=-Dspark.x=secret\n")
    found = master({**environ, "TOKEN_OF_THE_OPERATOR": "secret"}).rest
    assert found is not None and found.environ == {"OUR_REGION": "north"}


def test_jobs_inherit_the_variables_of_sparks_own_programs(environ: dict[str, str], tmp_path: Path) -> None:
    """A Spark without Hadoop needs SPARK_DIST_CLASSPATH, its launcher and spark-submit the others."""
    exported = {
        "SPARK_DIST_CLASSPATH": "/opt/hadoop/etc:/opt/hadoop/*",
        "SPARK_LAUNCHER_OPTS": "-Xmx200m",
        "SPARK_SUBMIT_OPTS": "-Dderby.system.home=/tmp",
        "SPARK_SCALA_VERSION": "2.13",
        "SPARK_PRINT_LAUNCH_COMMAND": "1",
    }
    lines = [f"export {name}='{value}'\n" for name, value in exported.items()]
    (tmp_path / "spark-env").write_text("".join(lines))
    assert exported.items() <= worker(environ).job_environ.items()


@pytest.mark.parametrize(
    ("membership", "limits", "mib"),
    [
        ("0::/a/b\n", {"a/memory.max": "1073741824\n", "a/b/memory.max": "max\n"}, [1024]),
        ("0::/\n", {"memory.max": "536870912\n"}, [512]),
        ("4:cpu:/x\n3:memory:/x\n0::/x\n", {"memory/x/memory.limit_in_bytes": "268435456\n"}, [256]),
        ("0::/elsewhere\n", {}, []),
    ],
)
def test_limits_of_control_groups(tmp_path: Path, membership: str, limits: dict[str, str], mib: list[int]) -> None:
    (tmp_path / "cgroup").write_text(membership)
    for name, text in limits.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory_limits_mib(tmp_path / "cgroup", tmp_path / "tree") == mib
    assert memory_limits_mib(tmp_path / "missing") == []


def test_loading_nothing_gives_defaults(tmp_path: Path) -> None:
    settings = load_settings({"HOME": str(tmp_path), "SPARK_CONF_DIR": str(tmp_path / "none")})
    assert settings.get("spark.authenticate") is True
    assert (settings.ignored, settings.warnings) == ([], [])


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        (
            "0::/a/b\n",
            {"a/b/cpu.max": "150000 100000", "a/cpu.max": "max 100000", "cpu.max": "400000 100000"},
            [1.5, 4.0],
        ),
        ("0::/\n", {"cpu.max": "max 100000"}, []),
        ("0::/not/in/this/view\n", {"cpu.max": "200000 100000"}, [2.0]),
        ("3:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "50000", "cpu/a/cpu.cfs_period_us": "100000"}, [0.5]),
        ("3:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, []),
        ("4:memory:/a\n", {"cpu/a/cpu.cfs_quota_us": "50000", "cpu/a/cpu.cfs_period_us": "100000"}, []),
    ],
)
def test_cpu_quotas_of_control_groups(
    tmp_path: Path, membership: str, files: dict[str, str], cores: list[float]
) -> None:
    (tmp_path / "cgroup").write_text(membership)
    for name, text in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(f"{text}\n")
    assert cpu_quotas(tmp_path / "cgroup", tmp_path / "tree") == cores


def test_a_worker_offers_the_quota_of_its_real_control_group() -> None:
    """Of one core, rounded up, whatever the machine has."""
    program = "from stoker.config.machine import usable_cores; print(usable_cores())"
    v1 = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "70000"}
    with control_group("cpu", v1, {"cpu.max": "70000 100000"}) as inside:
        done = subprocess.run([*inside, sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n" and usable_cores() >= 1
