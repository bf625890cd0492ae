"""``stoker help``, ``--version``, the manual page, and tab completion in a real bash."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stoker.cli import main
from stoker.cli.commands import COMMANDS
from stoker.cli.completion import SHELLS
from stoker.cli.parser import Parser, parser_of
from stoker.cli.topics import TOPICS
from stoker.version import RELEASE


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 2
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 1
    return text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--version") == f"stoker {RELEASE}\n"


def test_help_of_a_command_is_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "help", "submit") == printed(capsys, "submit", "--help")


@pytest.mark.parametrize("topic", TOPICS)
def test_help_of_a_topic(capsys: pytest.CaptureFixture[str], topic: str) -> None:
    assert topic not in COMMANDS
    assert TOPICS[topic][1] in printed(capsys, "help", topic)
    assert max(map(len, TOPICS[topic][1].splitlines())) <= 126
    assert topic in printed(capsys, "help")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["submit", "--wiat", "x"], "unknown option --wiat: did you mean --wait?"),
        (["submit", "--exec-mem", "2g", "x"], "did you mean --executor-memory?"),
        (["submit", "--executor-c", "2", "x"], "did you mean --executor-cores?"),
        (["submit", "--driver-memroy=2g", "x"], "unknown option --driver-memroy: did you mean --driver-memory?"),
        (["status", "--jsn"], "did you mean --json?"),
        (["status", "a", "b"], "unexpected argument 'b'"),
        (["token", "create", "--name", "x", "--rol", "viewer"], "did you mean --role?"),
        (["kil"], "there is no command 'kil': did you mean kill?"),
        (["--verson"], "there is no option '--verson': did you mean --version?"),
        (["help", "exit-code"], "did you mean exit-codes?"),
        (["completion", "tcsh"], "choose from 'bash', 'zsh', 'fish'"),
    ],
)
def test_the_nearest_is_named(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert says in refused(capsys, *words)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_misspelt_option_of_every_command_is_answered(capsys: pytest.CaptureFixture[str], command: str) -> None:
    parser, _ = parser_of(command)
    names = [name for option in parser.options() for name in option.option_strings if name.startswith("--")]
    for name in names:
        misspelt = name[:-2] + name[-1] + name[-2] if name[-1] != name[-2] else name + "x"
        if misspelt in names:
            continue
        with pytest.raises(Exception, match=f"unknown option {misspelt}: did you mean --"):
            Parser.error(parser, parser._unknown(misspelt))


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_option_is_explained(command: str) -> None:
    parser, _ = parser_of(command)
    assert [option.dest for option in (*parser.options(), *parser.positionals()) if not option.help] in ([], ["action"])


def test_the_manual_page_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "help", "--man")
    assert all(f".SS stoker {command.replace('-', chr(92) + '-')}\n" in page for command in COMMANDS)
    if shutil.which("groff") is None:
        pytest.skip("groff is missing: the page is not formatted")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"], input=page, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["su"], ["submit"]),
        (["--v"], ["--version", "--via"]),
        (["submit", "--driver-"], ["--driver-cores", "--driver-memory"]),
        (["submit", "--deploy-mode", ""], ["client", "cluster"]),
        (["submit", "jo"], ["job.py"]),
        (["submit", "--wait", "jo"], ["job.py"]),
        (["submit", "--files", "da"], ["data.csv"]),
        (["token", "r"], ["revoke"]),
        (["--via", "h", "stat"], ["status"]),
        (["shell", "--engine", "r"], ["ray"]),
        (["help", "exit"], ["exit-codes"]),
        (["help", "su"], ["submit"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["config", "check", "--as", "spark-e"], ["spark-env"]),
    ],
)
def test_bash_completes(capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], found: list[str]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is missing")
    for name in ("job.py", "data.csv"):
        (tmp_path / name).write_text("")
    script = tmp_path / ".completion"
    script.write_text(printed(capsys, "completion", "bash"))
    ask = (
        'source "$1"; shift; compopt() { :; }; COMP_WORDS=(stoker "$@"); COMP_CWORD=$#; _stoker;'
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        [bash, "-c", ask, "bash", str(script), *words],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == found


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_valid_and_name_every_option(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    script = printed(capsys, "completion", shell)
    for command in COMMANDS:
        for option in parser_of(command)[0].options():
            for name in option.option_strings:
                assert re.search(rf"{re.escape(name.lstrip('-'))}\b", script), (command, name)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is missing: its script is not parsed")
    done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
