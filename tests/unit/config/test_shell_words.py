"""``spark-env`` beside real bash: accepted files give bash's values, and files as people write them are accepted."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stoker.config.spark_env import parse_spark_env
from stoker.errors import ConfigError

BASH = shutil.which("bash")
ENVIRON = {"HOME": "/home/ada", "SET": "x y", "EMPTY": "", "JAVA_HOME": "/usr/lib/jvm/17"}
NAMES = ("A", "B", "SPARK_MASTER_OPTS", "SPARK_HOME", "PATH_LIKE")

# Lines of public spark-env files (values shortened), each of a kind that was once read otherwise than by bash.
REAL = [
    "A=${SPARK_WORK:-$HOME/work}",
    "A=${NOT:-${ALSO_NOT:-/opt/spark}}/conf",
    'A="${NOT:-${HOME}/spark}"',
    'SPARK_MASTER_OPTS+=" -Dspark.deploy.recoveryMode=FILESYSTEM"\nSPARK_MASTER_OPTS+=" -Dx=1"',
    'export SPARK_MASTER_OPTS="$SPARK_MASTER_OPTS -Dspark.deploy.defaultCores=4"',
    "A=~/work",
    "A=~",
    "A=~root/x",
    "PATH_LIKE=~/bin:~/lib:/opt/bin",
    'A="~/work"',
    'A=$HOME"/x"',
    "A='a'\"b\"c",
    'A="tab\\there"',
    "A=it\\'s",
    "A='it'\\''s'",
    "A=1\nexport A",
    "export A",
    "export A=1; export B=2",
    "A=1;B=2",
    "A=1 B=2",
    "export A=1 B=$HOME B",
    "A=1 # why",
    "A=x#y",
    "A=#x",
    "A=",
    "A=$",
    'A="$"',
    "A=a\\ b",
    'A="-Da=b \\\n  -Dc=d"',
    "A=a \\\n B=b",
    "A=${SET+set}${NOT+not}${EMPTY:+none}${SET:+yes}",
    "A=${EMPTY-kept}${EMPTY:-replaced}",
    "A=${B:=made}$B",
    "A=${SET:-${B:=unused}}$B",
    'A="${NOT:-"a b"}"',
    "A=\"${NOT:-'a'}\"",
    "A=${NOT:-'a b'}",
    "A=${NOT:-a b}",
    'A="${NOT:-a\\}b}"',
    "A=${NOT:-~/x}",
    'A="a\\"b\\`c\\\\d\\$e"',
    "A=-Xmx2g\n\n  B=indented",
    "A=a:b=c,d@e%f^g*h[1]{2}!",
    "A=$HOSTNAME",
    "A=${HOSTNAME:-localhost}",
    "export HOSTNAME",
    'A="work-$UID-${EUID}"',
    'A="${NOT:-\'it is\'}"',
    "A=*",
    "A={a,b}",
    ";".join(f"{name}=1" for name in ("A", "B")),
    "SPARK_MASTER_OPTS=-Da=1\nSPARK_MASTER_OPTS=\"$SPARK_MASTER_OPTS -Db=2\"",
]  # fmt: skip

NEEDS_BASH = [
    "A=$(hostname)", 'A="$(hostname -I | awk \'{print $1}\')"', "A=`hostname`", "A=$((1+1))", "A=(a b)", "A=${HOME%/*}",
    "A=${#HOME}", "A=${HOME/a/b}", "A=$1", "A=$?", "if true; then A=1; fi", "source other.sh", ". other.sh", "ulimit -n 9",
    "A=1 && B=2", "A=$'a\\tb'", "unset A", "declare -x A=1", "A=1 hostname", "A=one two", "[ -f x ] && A=1", "A=${!B}",
    "A=$PWD/logs", "A=$RANDOM", "A=${SECONDS}", "A=$PPID", "A=${BASH_SOURCE%/*}", "A=$OSTYPE", "A=$SHELL", "A=$IFS",
    "A=$_", "A=${PWD:-/tmp}", "UID=1", "IFS=,", "PWD=/tmp", "SECONDS=0", "export SHLVL", "export TERM",
    "A=\"${NOT:-it's}\"", "A=\"${NOT:-'}'}\"", 'A="${NOT:-"$SET"x}"', "A=${NOT:-<(id)}", 'A="${NOT:->(id)}"',
    "A=\"${NOT:-$'a'}\"", 'A="${NOT:-$"a"}"', 'A="${NOT:-a""b}"', "A=${NOT:-~ x}", "A=${NOT:-a:~/x}",
    "A=\"${NOT:-\\'b'}\"", "A=~\x0c",
    "export -n A", "A[0]=x", "cat <<EOF", "f() { A=1; }", ": ${A:=1}",
    "for i in 1 2; do A=$i; done", "A=${HOME:1}", "A=${HOME^^}", "A=${HOME@Q}", "exit 0", "set -x",
]  # fmt: skip


def by_bash(path: Path) -> dict[str, str] | None:
    """The variables bash has after the file; None when bash complains or does more than assign."""
    script = 'set -a; . "$1" >/dev/null || exit 1; set +a; env -0'
    done = subprocess.run(
        [BASH or "bash", "--norc", "-c", script, "bash", path], env=ENVIRON, capture_output=True, check=False
    )
    if done.returncode or done.stderr:
        return None
    pairs = (entry.partition("=") for entry in done.stdout.decode("utf-8", "surrogateescape").split("\0") if entry)
    return changed({name: value for name, _, value in pairs if name not in ("SHLVL", "_", "PWD", "OLDPWD")})


def changed(values: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value != ENVIRON.get(name)}


def check(folder: Path, text: str) -> None:
    path = folder / "spark-env"
    path.write_text(text, encoding="utf-8")
    assert changed(parse_spark_env(path, ENVIRON).values) == by_bash(path)


@pytest.mark.skipif(not BASH, reason="needs bash")
@pytest.mark.parametrize("text", REAL)
def test_lines_of_real_files_are_read_as_bash_reads_them(tmp_path: Path, text: str) -> None:
    check(tmp_path, text + "\n")


@pytest.mark.parametrize("line", NEEDS_BASH)
def test_what_needs_a_shell_is_rejected_with_its_line_and_the_way_to_import_it(tmp_path: Path, line: str) -> None:
    path = tmp_path / "spark-env"
    path.write_text(f"# comment\nOK=1\n{line}\n")
    with pytest.raises(ConfigError, match=r"spark-env:3: .*stoker config import"):
        parse_spark_env(path, ENVIRON)


@pytest.mark.parametrize("around", ["%s", '"%s"'])
def test_variables_within_each_other(tmp_path: Path, around: str) -> None:
    path = tmp_path / "spark-env"
    path.write_text("A=" + around % ("${NOT:-" * 40 + "x" + "}" * 40) + "\n")
    assert parse_spark_env(path, {}).values == {"A": "x"}
    for depth in (51, 300, 100_000):
        path.write_text("A=" + around % ("${NOT:-" * depth + "x" + "}" * depth) + "\n")
        with pytest.raises(ConfigError, match=r"spark-env:1: A: more than 50 levels of \$\{...\} within each other"):
            parse_spark_env(path, {})


def test_a_word_that_goes_on_in_the_next_line_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "spark-env"
    path.write_text("A=a\\\nb\n")
    with pytest.raises(ConfigError, match="A: a backslash continues the line in the middle of a word"):
        parse_spark_env(path, ENVIRON)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("A='x", "single quote is not closed"), ('A="x', "double quote is not closed"), ("A=${X:-", "not closed"),
     ("A=1\r\nB=2\r\n", "dos2unix"), ("\r\nA=1\r\n", "dos2unix"), ("export A\r\n", "dos2unix"),
     ("A=1 \\\r\n", "dos2unix"), ("A=1\0", "NUL"), ("A=x&", "needs quotes"), ("A=1;;B=2", "expected")],
)  # fmt: skip
def test_what_is_wrong_for_bash_too_says_what(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "spark-env"
    path.write_text(text, newline="")
    with pytest.raises(ConfigError, match=f"spark-env:1: .*{reason}") as caught:
        parse_spark_env(path, ENVIRON)
    assert "import" not in str(caught.value)


PIECES = [
    *(
        "a",
        "b1",
        "/x",
        ":",
        "=",
        ",",
        "~",
        "~/",
        "#",
        " ",
        "  ",
        "\t",
        ";",
        "\n",
        "'",
        '"',
        "\\",
        "\\\\",
        "\\\n",
        "\\t",
    ),
    *(
        "'a b'",
        '"a b"',
        '"$SET"',
        "$SET",
        "${SET}",
        "$NOT",
        "$",
        "${NOT:-",
        "${NOT-",
        "${SET:+",
        "${B:=",
        "}",
        "{",
        "$EMPTY",
    ),
    *(
        '"${NOT:-',
        "export ",
        "A=",
        "B=",
        "A+=",
        "PATH_LIKE=",
        "SPARK_HOME=",
        "*",
        "!",
        "[",
        "]",
        "%",
        "\\'",
        '\\"',
        "\\$",
        "\\}",
    ),
    *("$UID", "$RANDOM", "${HOSTNAME:-", "$PWD", "$_", "IFS=", "export UID", "$'", '$"', "<(", "(", "|", "\r", "~root"),
]


@pytest.mark.skipif(not BASH, reason="needs bash")
@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map(lambda pieces: "A=" + "".join(pieces) + "\n"))
@example("A=~:~/a\n")
def test_whatever_is_accepted_means_what_it_means_to_bash(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "generated"
    path.write_text(text, encoding="utf-8")
    try:
        values = parse_spark_env(path, ENVIRON).values
    except ConfigError as error:
        assert "\n" not in str(error)
        return
    assert changed(values) == by_bash(path)


def test_without_home_in_the_environment_bash_takes_that_of_the_account(tmp_path: Path) -> None:
    path = tmp_path / "spark-env"
    path.write_text("A=$HOME\nB=~/x\n")
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert parse_spark_env(path, {}).values == {"A": home, "B": f"{home}/x"}
