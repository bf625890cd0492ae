"""How options are read: errors are one line, and a misspelt option is answered with the nearest."""

from __future__ import annotations

import argparse
import importlib
import os
from typing import Any, NoReturn

from stoker.cli.commands import COMMANDS
from stoker.errors import UsageError, did_you_mean


class Parser(argparse.ArgumentParser):
    """``-h`` is a host here, so help is ``--help`` alone; options are never abbreviated."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "add_help": False, "allow_abbrev": False})
        self.add_argument("--help", action="help", help="show this text and exit")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Raises UsageError for what cannot be understood."""
        found, left = self.parse_known_args(args, namespace)
        if left:
            self.error(self._unknown(left[0]))
        return found

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see '{self.prog} --help')")

    def options(self) -> list[argparse.Action]:
        """Everything that begins with a dash."""
        return [action for action in self._actions if action.option_strings]

    def all_options(self) -> list[argparse.Action]:
        """Return the options, and those of all sub-commands; of options with the same names the first."""
        found = {tuple(action.option_strings): action for action in self.options()}
        for action in self.positionals():
            for below in action.choices.values() if isinstance(action.choices, dict) else ():
                for option in below.options() if isinstance(below, Parser) else []:
                    found.setdefault(tuple(option.option_strings), option)
        return list(found.values())

    def positionals(self) -> list[argparse.Action]:
        return [action for action in self._actions if not action.option_strings]

    def _names(self) -> list[str]:
        """The names of all options, those of sub-commands included."""
        names = [text for action in self.options() for text in action.option_strings]
        for action in self.positionals():
            for below in action.choices.values() if isinstance(action.choices, dict) else ():
                names += below._names() if isinstance(below, Parser) else []
        return names

    def _get_formatter(self) -> argparse.HelpFormatter:
        # Without a width argparse asks shutil for it, once for every option, and shutil loads compressors.
        try:
            width = int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns) - 2
        except (OSError, ValueError):
            width = 78
        return self.formatter_class(prog=self.prog, width=max(40, width))  # type: ignore[call-arg]

    def _unknown(self, word: str) -> str:
        if not word.startswith("-") or word == "-":
            return f"unexpected argument {word!r}"
        name = word.partition("=")[0]
        known = sorted({text for text in self._names() if text.startswith("--")})
        begin_so = [text for text in known if len(name) > 2 and text.startswith(name)]
        hint = f"did you mean {' or '.join(begin_so[:4])}?" if begin_so else did_you_mean(name, known)
        return f"unknown option {name}" + (f": {hint}" if hint else "")


def parser_of(command: str) -> tuple[Parser, Any]:
    """A command's parser and its module."""
    module_name, summary = COMMANDS[command]
    module = importlib.import_module(module_name)
    parser = Parser(prog=f"stoker {command}", description=summary)
    module.add_arguments(parser)
    return parser, module
