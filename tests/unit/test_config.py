"""Settings: where they come from, what they become, and what a wrong one is answered with."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.config import (
    MasterConfig,
    WorkerConfig,
    add_master_arguments,
    add_worker_arguments,
    client_config,
    load_settings,
    master_config,
    worker_config,
)
from stoker.config import types as parse
from stoker.config.registry import INEFFECTIVE, PROPERTIES, VARIABLES
from stoker.config.sources import parse_spark_env, read_properties
from stoker.errors import ConfigError, UsageError


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"SPARK_CONF_DIR": str(tmp_path), "HOME": str(tmp_path), "SPARK_LOCAL_IP": "127.0.0.1"}


def master(environ: dict[str, str], *words: str) -> MasterConfig:
    parser = argparse.ArgumentParser(add_help=False)
    add_master_arguments(parser)
    return master_config(parser.parse_args(words), environ)


def worker(environ: dict[str, str], *words: str) -> WorkerConfig:
    parser = argparse.ArgumentParser(add_help=False)
    add_worker_arguments(parser)
    return worker_config(parser.parse_args([*words, "spark://127.0.0.1:7077"]), environ)


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


# --- sources -------------------------------------------------------------------------------------------------------


def test_spark_env_is_read_not_executed(tmp_path: Path) -> None:
    path = tmp_path / "spark-env"
    path.write_text("# comment\nexport A='one two'\nB=\"${A} three\"\nC=plain # why\n\n")
    assert parse_spark_env(path) == {"A": "one two", "B": "one two three", "C": "plain"}


@pytest.mark.parametrize("line", ["A=$(id)", "A=`id`", "if true; then", "just words", "export"])
def test_spark_env_with_shell_code_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "spark-env"
    path.write_text(f"OK=1\n{line}\n")
    with pytest.raises(ConfigError, match=r"spark-env:2: "):
        parse_spark_env(path)


@given(st.binary(max_size=200))
def test_any_file_parses_or_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz"
    path.write_bytes(data)
    for function in (parse_spark_env, read_properties):
        try:
            function(path)
        except ConfigError as error:
            assert "\n" not in str(error)


def test_properties_with_white_space_equals_and_colon(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_text("spark.a   1\nspark.b=2\nspark.c: 3\n# c\n! c\n")
    assert read_properties(path) == {"spark.a": "1", "spark.b": "2", "spark.c": "3"}


def test_precedence(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.master.ui.port 1001\nspark.worker.timeout 11\n")
    assert master(environ).webui_port == 1001
    (tmp_path / "spark-env").write_text("SPARK_MASTER_WEBUI_PORT=1002\nSPARK_MASTER_PORT=2002\n")
    assert master(environ).webui_port == 1002
    environ["SPARK_MASTER_WEBUI_PORT"] = "1003"
    assert master(environ).webui_port == 1003
    assert master(environ, "--webui-port", "1004").webui_port == 1004
    assert master(environ).port == 2002
    environ["SPARK_MASTER_OPTS"] = "-Dspark.worker.timeout=22"
    assert master(environ).policy.worker_timeout == 22


def test_options_reach_only_their_daemon(environ: dict[str, str]) -> None:
    environ["SPARK_MASTER_OPTS"] = "-Dspark.deploy.defaultCores=3"
    environ["SPARK_WORKER_OPTS"] = "-Dspark.worker.cleanup.enabled=true"
    environ["SPARK_DAEMON_JAVA_OPTS"] = "-Dspark.worker.timeout=5 -Xmx300m -XX:+UseG1GC -verbose:gc"
    found, other = master(environ), worker(environ)
    assert (found.policy.default_cores, found.policy.worker_timeout, found.memory_limit_mib) == (3, 5, 300)
    assert (other.cleanup_enabled, other.worker_timeout) == (True, 5)
    assert found.ignored == ("-XX:+UseG1GC in SPARK_DAEMON_JAVA_OPTS", "-verbose:gc in SPARK_DAEMON_JAVA_OPTS")


def test_old_names(environ: dict[str, str]) -> None:
    environ |= {"SPARK_MASTER_IP": "127.0.0.5", "SPARK_JAVA_OPTS": "-Dspark.deploy.spreadOut=false"}
    found = master(environ)
    assert (found.host, found.policy.spread_out_apps) == ("127.0.0.5", False)
    environ["SPARK_MASTER_HOST"] = "127.0.0.6"
    assert master(environ).host == "127.0.0.6"


@pytest.mark.parametrize(
    ("name", "value"),
    [("spark.worker.timeout", "soon"), ("spark.worker.timeout", "0"), ("spark.deploy.defaultCores", "0"),
     ("spark.deploy.recoveryMode", "DISK"), ("spark.deploy.spreadOut", "maybe"), ("spark.port.maxRetries", "-1"),
     ("spark.deploy.workerSelectionPolicy", "BEST"), ("spark.master.ui.port", "70000")],
)  # fmt: skip
def test_ill_typed_property_names_itself(environ: dict[str, str], name: str, value: str) -> None:
    environ["SPARK_MASTER_OPTS"] = f"-D{name}={value}"
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        master(environ)


@pytest.mark.parametrize("mode", ["FILESYSTEM", "ZOOKEEPER"])
def test_recovery_mode_without_its_setting(environ: dict[str, str], mode: str) -> None:
    environ["SPARK_DAEMON_JAVA_OPTS"] = f"-Dspark.deploy.recoveryMode={mode}"
    with pytest.raises(ConfigError, match=r"needs spark\.deploy"):
        master(environ)


def test_unknown_property_is_named_with_its_neighbour(environ: dict[str, str]) -> None:
    environ["SPARK_MASTER_OPTS"] = "-Dspark.deploy.defaultCore=3 -Dspark.sql.shuffle.partitions=7"
    assert master(environ).warnings == (
        "SPARK_MASTER_OPTS sets the unknown property spark.deploy.defaultCore: did you mean spark.deploy.defaultCores?",
    )


def test_missing_properties_file(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        master(environ, "--properties-file", "/nonexistent/p")


# --- worker and client ---------------------------------------------------------------------------------------------


def test_worker_defaults(environ: dict[str, str], tmp_path: Path) -> None:
    found = worker(environ)
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    assert found.cores == len(os.sched_getaffinity(0))
    assert 1024 <= found.memory_mib <= max(1024, pages - 1024)
    assert (found.port, found.webui_port, found.cleanup_enabled) == (0, 8081, False)
    assert found.work_dir == tmp_path / ".local/state/stoker/work"


def test_worker_options_and_variables(environ: dict[str, str], tmp_path: Path) -> None:
    environ |= {"SPARK_WORKER_CORES": "3", "SPARK_WORKER_MEMORY": "2g", "SPARK_WORKER_DIR": str(tmp_path / "w")}
    environ |= {"SPARK_LOCAL_DIRS": "/a, /b", "SPARK_PUBLIC_DNS": "pub"}
    found = worker(environ, "-c", "5")
    assert (found.cores, found.memory_mib, found.work_dir) == (5, 2048, tmp_path / "w")
    assert (found.local_dirs, found.public_dns) == ((Path("/a"), Path("/b")), "pub")


@pytest.mark.parametrize("words", [("-c", "0"), ("-c", "x"), ("-m", "0"), ("-m", "12"[:0] or "k"), ("-p", "-1")])
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


# --- documentation -------------------------------------------------------------------------------------------------


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    for name in (*PROPERTIES, *VARIABLES, *INEFFECTIVE):
        assert f"`{name}`" in text, f"docs/configuration.md does not have {name}"
    for known in PROPERTIES.values():
        assert known.meaning in text, f"docs/configuration.md explains {known.name} otherwise"
        known.parse(known.example)


def test_every_variable_of_the_mission_is_known() -> None:
    wanted = [
        "SPARK_MASTER_IP",
        "SPARK_MASTER_PORT",
        "SPARK_MASTER_WEBUI_PORT",
        "SPARK_MASTER_OPTS",
        "SPARK_LOCAL_DIRS",
        "SPARK_WORKER_CORES",
        "SPARK_WORKER_MEMORY",
        "SPARK_WORKER_PORT",
        "SPARK_WORKER_WEBUI_PORT",
        "SPARK_WORKER_INSTANCES",
        "SPARK_WORKER_DIR",
        "SPARK_WORKER_OPTS",
        "SPARK_DAEMON_MEMORY",
        "SPARK_DAEMON_JAVA_OPTS",
        "SPARK_PUBLIC_DNS",
        "SPARK_JAVA_OPTS",
    ]
    assert set(wanted) <= set(VARIABLES)


def test_loading_nothing_gives_defaults(tmp_path: Path) -> None:
    settings = load_settings({"HOME": str(tmp_path), "SPARK_CONF_DIR": str(tmp_path / "none")})
    assert settings.get("spark.authenticate") is True
    assert (settings.ignored, settings.warnings) == ([], [])
