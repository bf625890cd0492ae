"""The sources of settings, their precedence, and the message about a wrong setting."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.config.client import client_config
from stoker.config.common import keys_dir, person_keys_dir
from stoker.config.ineffective import INEFFECTIVE
from stoker.config.sources import load_settings, read_properties
from stoker.config.spark_env import parse_spark_env
from stoker.errors import ConfigError
from tests.support.settings import empty_environ, master, worker


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return empty_environ(tmp_path)


def spark_env(folder: Path, text: str, **environ: str) -> dict[str, str]:
    path = folder / "spark-env"
    path.write_text(text)
    return parse_spark_env(path, environ).values


# --- spark-env -----------------------------------------------------------------------------------------------------


def test_spark_env_is_assignments_and_comments(tmp_path: Path) -> None:
    text = "# comment\nexport A='one two'\nB=\"${A} three\"\nC=plain # why\nD=\n\n"
    assert spark_env(tmp_path, text) == {"A": "one two", "B": "one two three", "C": "plain", "D": ""}


@pytest.mark.parametrize(
    ("value", "means"),
    [
        ("$HOME/work", "/h/work"),
        ("${HOME}/work", "/h/work"),
        ('"$HOME/work"', "/h/work"),
        ("'$HOME/work'", "$HOME/work"),
        ("'`id`'", "`id`"),
        ("${NOT_SET:-7}", "7"),
        ("${HOME:-7}", "/h"),
        ("x${NOT_SET}y", "xy"),
        (r'"costs \$5"', "costs $5"),
        ("a$", "a$"),
        ('"-Da=b \\\n  -Dc=d"', "-Da=b   -Dc=d"),
    ],
)
def test_values_mean_what_they_mean_to_a_shell(tmp_path: Path, value: str, means: str) -> None:
    assert spark_env(tmp_path, f"A={value}\n", HOME="/h") == {"A": means}


def test_what_the_environment_sets_is_expanded_as_it_is_there(tmp_path: Path) -> None:
    assert spark_env(tmp_path, "A=file\nB=$A/x\n", A="process")["B"] == "process/x"
    assert spark_env(tmp_path, "A=file\nA=$A.more\n")["A"] == "file.more"


@pytest.mark.parametrize(
    "line",
    ["A=$(id)", 'A="$(id)"', "A=`id`", "A=${HOME%x}", "if true; then", "just words", "export", "A=one two", "A=x&", "A=x>y",
     "unset A", "source /etc/profile"],
)  # fmt: skip
def test_shell_code_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=r"spark-env:2: "):
        spark_env(tmp_path, f"OK=1\n{line}\n")


@given(st.binary(max_size=200) | st.text("AB=$({})`'\"\\\n #;:-x", max_size=60).map(str.encode))
def test_any_file_parses_or_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz"
    path.write_bytes(data)
    for is_env in (True, False):
        try:
            parse_spark_env(path, {}) if is_env else read_properties(path)
        except ConfigError as error:
            assert "\n" not in str(error)


# --- properties ----------------------------------------------------------------------------------------------------


def test_properties_with_white_space_equals_and_colon(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_text("spark.a   1\nspark.b=2\nspark.c: 3\n# c\n! c\n")
    assert read_properties(path) == {"spark.a": "1", "spark.b": "2", "spark.c": "3"}


def test_missing_properties_file(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        master(environ, "--properties-file", "/nonexistent/p")


# --- which one wins ------------------------------------------------------------------------------------------------


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


def test_options_of_file_and_environment_are_both_in_force(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "spark-env").write_text(
        'SPARK_MASTER_OPTS="$SPARK_MASTER_OPTS -Dspark.worker.timeout=5 -Dspark.deploy.defaultCores=3"\n'
    )
    environ["SPARK_DAEMON_JAVA_OPTS"] = "-Dspark.worker.timeout=6"
    policy = master(environ).policy
    assert (policy.worker_timeout, policy.default_cores) == (6, 3)


def test_options_reach_only_their_daemon(environ: dict[str, str]) -> None:
    environ["SPARK_MASTER_OPTS"] = "-Dspark.deploy.defaultCores=3"
    environ["SPARK_WORKER_OPTS"] = "-Dspark.worker.cleanup.enabled=false"
    environ["SPARK_DAEMON_JAVA_OPTS"] = "-Dspark.worker.timeout=5 -Xmx300m"
    found, other = master(environ), worker(environ)
    assert (found.policy.default_cores, found.policy.worker_timeout, found.memory_limit_mib) == (3, 5, 300)
    assert (other.cleanup.is_on, other.worker_timeout) == (False, 5)


def test_old_names(environ: dict[str, str]) -> None:
    environ |= {"SPARK_MASTER_IP": "127.0.0.5", "SPARK_JAVA_OPTS": "-Dspark.deploy.spreadOut=false"}
    found = master(environ)
    assert (found.host, found.policy.spread_out_apps) == ("127.0.0.5", False)
    environ["SPARK_MASTER_HOST"] = "127.0.0.6"
    assert master(environ).host == "127.0.0.6"


# --- wrong or unknown settings, and those without effect --------------------------------------------------------------


def test_flags_of_a_jvm_are_accepted_and_named(environ: dict[str, str]) -> None:
    environ["SPARK_DAEMON_JAVA_OPTS"] = "-XX:+UseG1GC --add-opens java.base/x=ALL-UNNAMED -cp '/a b' -verbose:gc"
    assert master(environ).ignored == (
        "-XX:+UseG1GC in SPARK_DAEMON_JAVA_OPTS",
        "--add-opens java.base/x=ALL-UNNAMED in SPARK_DAEMON_JAVA_OPTS",
        "-cp /a b in SPARK_DAEMON_JAVA_OPTS",
        "-verbose:gc in SPARK_DAEMON_JAVA_OPTS",
    )


@pytest.mark.parametrize("text", ["spark.worker.timeout=5", "-Xmxlots", "'-Dx=y"])
def test_what_is_no_option_is_refused(environ: dict[str, str], text: str) -> None:
    environ["SPARK_MASTER_OPTS"] = text
    with pytest.raises(ConfigError, match=r"^SPARK_MASTER_OPTS: "):
        master(environ)


@pytest.mark.parametrize(
    ("name", "value"),
    [("spark.worker.timeout", "soon"), ("spark.worker.timeout", "0"), ("spark.worker.timeout", ""),
     ("spark.deploy.defaultCores", "0"), ("spark.deploy.recoveryMode", "DISK"), ("spark.deploy.spreadOut", "maybe"),
     ("spark.port.maxRetries", "-1"), ("spark.deploy.workerSelectionPolicy", "BEST"), ("spark.master.ui.port", "70000")],
)  # fmt: skip
def test_ill_typed_property_names_itself_and_where_it_was_set(environ: dict[str, str], name: str, value: str) -> None:
    environ["SPARK_MASTER_OPTS"] = f"-D{name}={value}"
    with pytest.raises(ConfigError) as caught:
        master(environ)
    assert f"{name} in SPARK_MASTER_OPTS: {value!r}" in str(caught.value) and "for example" in str(caught.value)


def test_ill_typed_variable_names_itself_and_where_it_was_set(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "spark-env").write_text("SPARK_WORKER_CORES=many\n")
    with pytest.raises(ConfigError, match=r"^SPARK_WORKER_CORES in .*/spark-env: 'many'"):
        worker(environ)
    environ["SPARK_WORKER_CORES"] = "none"
    with pytest.raises(ConfigError, match=r"^SPARK_WORKER_CORES: 'none'"):
        worker(environ)


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


def test_what_has_no_effect_is_said(environ: dict[str, str]) -> None:
    environ |= {"SPARK_MASTER_OPTS": "-Dspark.acls.enable=true", "SPARK_WORKERS": "/etc/workers"}
    assert master(environ).warnings == (
        "without effect: spark.acls.enable (tokens say who may do what: docs/security.md), SPARK_WORKERS (name the workers'"
        " hosts in the inventory)",
    )


def test_all_settings_without_effect_are_one_line(environ: dict[str, str]) -> None:
    environ["SPARK_MASTER_OPTS"] = " ".join(
        f"-D{name}=1" for name in [*INEFFECTIVE, "spark.worker.resource.gpu.vendor"]
    )
    (line,) = master(environ).warnings
    assert line.startswith("without effect: ") and all(name in line for name in INEFFECTIVE)


@pytest.mark.parametrize("names", [("spark.ssl.enabled",), ("spark.ssl.standalone.enabled",)])
def test_tls_is_on_or_refused_and_never_dropped(
    environ: dict[str, str], tmp_path: Path, names: tuple[str, ...]
) -> None:
    environ["SPARK_DAEMON_JAVA_OPTS"] = f"-D{names[0]}=true -Dspark.ssl.keyStore=/k.jks"
    for daemon in (master, worker):
        with pytest.raises(ConfigError, match=rf"{names[0]} needs .*certChain.*spark\.ssl\.keyStore is for Java"):
            daemon(environ)
    environ["SPARK_DAEMON_JAVA_OPTS"] = (
        f"-D{names[0]}=true -Dspark.ssl.certChain=/c.pem -Dspark.ssl.privateKey=/k.pem -Dspark.ssl.standalone.port=8480"
    )
    found = master(environ)
    assert (found.web.scheme, found.webui_port) == ("https", 8480)


def test_tls_of_dashboards_can_be_off_where_spark_s_is_on(environ: dict[str, str]) -> None:
    environ["SPARK_DAEMON_JAVA_OPTS"] = "-Dspark.ssl.enabled=true -Dspark.ssl.standalone.enabled=false"
    assert master(environ).web.scheme == "http"


def test_spark_s_default_size_of_a_submission_does_not_stop_the_master(environ: dict[str, str]) -> None:
    environ["SPARK_MASTER_OPTS"] = "-Dspark.master.rest.maxRequestBodySize=100m"
    found = master(environ)
    assert found.rest is not None and found.rest.max_body_bytes == 64 * 2**20
    assert found.warnings == ("spark.master.rest.maxRequestBodySize 100m: 64m is the most, and in force",)


def test_a_variable_that_extends_the_environment_s_is_in_force(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "spark-env").write_text('PATH="$PATH:/opt/x"\nLIB+=:b\nOTHER=file\n')
    found = load_settings({**environ, "PATH": "/bin", "LIB": "a", "OTHER": "process"})
    assert [found.environ[name] for name in ("PATH", "LIB", "OTHER")] == ["/bin:/opt/x", "a:b", "process"]


def test_a_submission_s_misspelt_property_is_named(environ: dict[str, str]) -> None:
    args = argparse.Namespace(master="spark://h", conf=["spark.executer.memory=2g", "spark.sql.shuffle.partitions=2"])
    assert client_config(args, environ).warnings == (
        "--conf sets the unknown property spark.executer.memory: did you mean spark.executor.memory?",
    )


def test_a_submission_names_what_it_sets_in_vain(environ: dict[str, str], tmp_path: Path) -> None:
    """Settings of daemons go with no submission; Spark's protection of its own pages does not protect jobs here."""
    words = [
        "spark.worker.cleanup.enabled=true",
        "spark.deploy.defaultCores=2",
        "spark.admin.acls=ada",
        "spark.ssl.enabled=1",
    ]
    expected = (
        "settings of daemons, without effect on a submission: spark.deploy.defaultCores, spark.worker.cleanup.enabled",
        "only a Spark program's own pages and connections obey spark.admin.acls, spark.ssl.enabled: docs/security.md says"
        " what protects jobs here",
    )
    by_option = argparse.Namespace(master="spark://h", conf=words, properties_file=None)
    assert client_config(by_option, environ).warnings == expected
    file = tmp_path / "job.properties"
    file.write_text("\n".join(words))
    by_file = argparse.Namespace(master="spark://h", conf=[], properties_file=str(file))
    assert client_config(by_file, environ).warnings == expected
    # A machine's own spark-defaults.conf has its daemons' settings, too.
    file.rename(tmp_path / "spark-defaults.conf")
    assert (
        client_config(argparse.Namespace(master="spark://h"), environ | {"SPARK_CONF_DIR": str(tmp_path)}).warnings
        == ()
    )


@pytest.mark.parametrize(
    "name", ["spark.ssl.needClientAuth", "spark.ssl.standalone.trustStore", "spark.ssl.rpc.enabled", "spark.redaction.regex",
             "spark.network.sasl.serverAlwaysEncrypt", "spark.ui.allowFramingFrom"],
)  # fmt: skip
def test_a_daemon_names_protection_that_it_does_not_give(environ: dict[str, str], name: str) -> None:
    environ["SPARK_DAEMON_JAVA_OPTS"] = f"-D{name}=true"
    for daemon in (master, worker):
        assert daemon(environ).warnings == (f"without effect: {name} ({INEFFECTIVE[name]})",)


@pytest.mark.parametrize("name", ["spark.ssl.keyStore", "spark.ssl.standalone.keyPassword", "spark.ssl.keyStoreType"])
def test_a_daemon_names_java_s_key_stores(environ: dict[str, str], name: str) -> None:
    environ["SPARK_DAEMON_JAVA_OPTS"] = f"-D{name}=x"
    for daemon in (master, worker):
        assert daemon(environ).warnings == (f"without effect: {name} (TLS needs PEM files)",)


def test_defaults_of_a_submission_from_the_environment(environ: dict[str, str]) -> None:
    environ |= {"SPARK_EXECUTOR_MEMORY": "3g", "SPARK_DRIVER_MEMORY": "2g", "SPARK_EXECUTOR_CORES": "2"}
    args = argparse.Namespace(master="spark://h", conf=["spark.driver.memory=1g"])
    found = client_config(args, environ).properties
    assert {name: found[name] for name in ("spark.executor.memory", "spark.driver.memory", "spark.executor.cores")} == {
        "spark.executor.memory": "3g",
        "spark.driver.memory": "1g",
        "spark.executor.cores": "2",
    }


def test_people_on_a_host_of_daemons_have_their_own_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf, home = tmp_path / "conf", tmp_path / "home"
    (conf / "keys").mkdir(parents=True)
    settings = load_settings({"SPARK_CONF_DIR": str(conf), "HOME": str(home)})
    assert person_keys_dir(settings) == conf / "keys"
    (conf / "client").write_text("spark://cluster:7077\n")
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)  # the folders are those of another user
    assert person_keys_dir(settings) == home / ".config/stoker/keys"
    assert keys_dir(settings) == conf / "keys"  # a daemon's: it says that they are another user's
    environ = {"SPARK_CONF_DIR": str(conf), "HOME": str(home)}
    assert client_config(argparse.Namespace(), environ).masters == ("cluster:7077",)
    (home / ".config/stoker").mkdir(parents=True)
    (home / ".config/stoker/client").write_text("spark://mine:7077\n")
    assert client_config(argparse.Namespace(), environ).masters == ("mine:7077",)
    chosen = load_settings({**environ, "STOKER_KEYS_DIR": str(tmp_path / "chosen")})
    assert person_keys_dir(chosen) == tmp_path / "chosen"
