"""``stoker completion bash|zsh|fish``: a script for tab completion, made from the commands' parsers."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from typing import NamedTuple

from stoker.cli.commands import COMMANDS, runnable

SHELLS = ("bash", "zsh", "fish")
_EPILOG = """\
bash:  stoker completion bash >~/.local/share/bash-completion/completions/stoker
zsh:   stoker completion zsh >"${fpath[1]}/_stoker"
fish:  stoker completion fish >~/.config/fish/completions/stoker.fish
"""


class _Option(NamedTuple):
    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]


class _Command(NamedTuple):
    name: str
    summary: str
    options: tuple[_Option, ...]
    words: tuple[str, ...]  # fixed words that an argument may be; empty: files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("shell", choices=SHELLS, help="the shell that shall complete")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell](_described()), end="")
    return 0


def _described() -> list[_Command]:
    from stoker.cli.parser import parser_of  # noqa: PLC0415 - it needs this module's table

    described = []
    for name in runnable():
        parser, _ = parser_of(name)
        summary = COMMANDS[name][1]
        options = tuple(
            _Option(tuple(action.option_strings), _plain(action.help), action.nargs != 0, _choices(action))
            for action in parser.all_options()
        )
        words = tuple(word for action in parser.positionals() for word in _choices(action))
        if name == "help":
            from stoker.cli.topics import TOPICS  # noqa: PLC0415

            words = (*COMMANDS, *TOPICS)
        described.append(_Command(name, summary, options, words))
    return described


def _choices(action: argparse.Action) -> tuple[str, ...]:
    return tuple(map(str, action.choices or ()))


def _plain(text: str | None) -> str:
    return (text or "").partition(" (")[0].replace("%(default)s", "").strip()


# --- bash ------------------------------------------------------------------------------------------------------------

_BASH = """\
# Tab completion of stoker for bash. Made by 'stoker completion bash'.
_stoker() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command= index=1 words=
    if [[ ${{COMP_WORDS[1]}} == --via ]]; then index=3; fi
    if (( COMP_CWORD > index )); then command=${{COMP_WORDS[index]}}; fi
    COMPREPLY=()
    case "$command:$previous" in
{values}
    esac
    case "$command" in
        "") words={commands} ;;
{cases}
    esac
    if [[ $current != -* ]]; then words=${{words//--+([a-z-])/}}; fi
    COMPREPLY=( $(compgen -W "$words" -- "$current") )
    if [[ ${{#COMPREPLY[@]}} == 0 && $current != -* && -n $command ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}}
shopt -s extglob
complete -F _stoker stoker
"""


def _bash(commands: list[_Command]) -> str:
    values, cases = [], []
    for command in commands:
        for option in command.options:
            if not option.takes_value:
                continue
            pattern = "|".join(f"{command.name}:{name}" for name in option.names)
            reply = f'-W "{" ".join(option.choices)}"' if option.choices else "-f"
            files = "" if option.choices else "compopt -o filenames; "
            values.append(
                f'        {pattern}) {files}mapfile -t COMPREPLY < <(compgen {reply} -- "$current"); return ;;'
            )
        words = [name for option in command.options for name in option.names if name.startswith("--")]
        cases.append(f"        {command.name}) words={shlex.quote(' '.join([*words, *command.words]))} ;;")
    names = shlex.quote(" ".join([*(command.name for command in commands), "--help", "--version", "--via"]))
    return _BASH.format(values="\n".join(values), cases="\n".join(cases), commands=names)


# --- zsh -------------------------------------------------------------------------------------------------------------

_ZSH = """\
#compdef stoker
# Tab completion of stoker for zsh. Made by 'stoker completion zsh'.
_stoker() {{
    local state line
    local -a commands
    commands=(
{commands}
    )
    _arguments -C '--help[show the commands]' '--version[show the version]' '--via[a host that ssh reaches]:host:_hosts' \\
        '1:command:->command' '*::argument:->argument'
    case $state in
        command) _describe command commands ;;
        argument)
            case $line[1] in
{cases}
            esac ;;
    esac
}}
_stoker "$@"
"""


def _zsh(commands: list[_Command]) -> str:
    listed = [f"        {shlex.quote(f'{command.name}:{command.summary}')}" for command in commands]
    cases = []
    for command in commands:
        specs = [_zsh_option(option, name) for option in command.options for name in option.names]
        rest = f"*:argument:({' '.join(command.words)})" if command.words else "*:file:_files"
        words = " ".join(map(shlex.quote, [*specs, rest]))
        cases.append(f"                {command.name}) _arguments {words} ;;")
    return _ZSH.format(commands="\n".join(listed), cases="\n".join(cases))


def _zsh_option(option: _Option, name: str) -> str:
    text = option.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    spec = f"{name}[{text}]"
    if not option.takes_value:
        return spec
    return f"{spec}:value:({' '.join(option.choices)})" if option.choices else f"{spec}:value:_files"


# --- fish ------------------------------------------------------------------------------------------------------------


def _fish(commands: list[_Command]) -> str:
    names = " ".join(command.name for command in commands)
    lines = [
        "# Tab completion of stoker for fish. Made by 'stoker completion fish'.",
        f"set -l stoker_commands {names}",
    ]
    none = "not __fish_seen_subcommand_from $stoker_commands"
    for name, text in (("help", "show the commands"), ("version", "show the version")):
        lines.append(f'complete -c stoker -n "{none}" -l {name} -d {_fish_word(text)}')
    lines.append(f'complete -c stoker -n "{none}" -l via -x -d {_fish_word("a host that ssh reaches")}')
    for command in commands:
        lines.append(f'complete -c stoker -n "{none}" -f -a {command.name} -d {_fish_word(command.summary)}')
        seen = f'"__fish_seen_subcommand_from {command.name}"'
        for option in command.options:
            flags = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = f" -x -a {_fish_word(' '.join(option.choices))}" if option.choices else " -r"
            lines.append(
                f"complete -c stoker -n {seen} {flags}{value if option.takes_value else ''} -d {_fish_word(option.help)}"
            )
        if command.words:
            lines.append(f"complete -c stoker -n {seen} -f -a {_fish_word(' '.join(command.words))}")
    return "\n".join(lines) + "\n"


def _fish_word(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
