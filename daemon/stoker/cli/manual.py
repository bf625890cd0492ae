"""The manual page, stoker(1), from the same parsers and topics that answer ``--help``."""

from __future__ import annotations

from stoker.cli.commands import runnable
from stoker.cli.parser import Parser, parser_of
from stoker.cli.topics import TOPICS
from stoker.version import __version__


def manual() -> str:
    """The page in roff, as ``man -l`` and ``/usr/share/man/man1`` want it."""
    lines = [
        f'.TH STOKER 1 "" "Stoker {__version__}" "User Commands"',
        ".SH NAME",
        r"stoker \- Spark-standalone clusters in Python",
        ".SH SYNOPSIS",
        ".B stoker",
        r"[\-\-via [USER@]HOST] COMMAND [OPTIONS]",
        ".SH COMMANDS",
    ]
    for name in runnable():
        lines += _command(parser_of(name)[0])
    for name, (summary, text) in TOPICS.items():
        lines += [f".SH {name.upper().replace('-', ' ')}", _escaped(_sentence(summary)), ".PP", ".nf"]
        lines += [_escaped(line) for line in text.splitlines()] + [".fi"]
    return "\n".join(lines)


def _command(parser: Parser) -> list[str]:
    lines = [f".SS {_escaped(parser.prog)}", _escaped(_sentence(parser.description or "")), ".PP", ".nf"]
    usage = parser.format_usage().removeprefix("usage: ")
    lines += [_escaped(line) for line in usage.splitlines()] + [".fi"]
    for action in (*parser.options(), *parser.positionals()):
        words = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        value = action.metavar if action.option_strings and action.nargs != 0 else None
        shown = f"{words} {value}" if value else words
        help_text = (action.help or "") % {**vars(action), "prog": parser.prog}
        lines += [".TP", rf"\fB{_escaped(shown)}\fR", _escaped(help_text)]
    return lines


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _escaped(text: str) -> str:
    shown = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{shown}" if shown.startswith((".", "'")) else shown
