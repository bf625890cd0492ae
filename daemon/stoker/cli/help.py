"""``stoker help [COMMAND|TOPIC]``: explain a command or a topic; ``stoker help --man`` prints a manual page."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from stoker.cli.commands import COMMANDS, usage
from stoker.cli.topics import TOPICS
from stoker.errors import UsageError, did_you_mean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker help [COMMAND|TOPIC]\n       stoker help --man"
    parser.epilog = "Topics: " + ", ".join(TOPICS)
    parser.add_argument("--man", action="store_true", help="print a manual page: stoker help --man >stoker.1")
    parser.add_argument("name", nargs="?", metavar="COMMAND|TOPIC", help="a command, or one of the topics below")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if args.man:
        from stoker.cli.manual import manual  # noqa: PLC0415 - it imports every command

        print(manual())
    elif args.name is None:
        print(f"{usage()}\n\n{_topics()}")
    elif args.name in COMMANDS:
        from stoker.cli.parser import parser_of  # noqa: PLC0415 - it needs this module's table

        parser_of(args.name)[0].print_help()
    elif args.name in TOPICS:
        summary, text = TOPICS[args.name]
        print(f"{args.name}: {summary}\n\n{text}")
    else:
        hint = did_you_mean(args.name, (*COMMANDS, *TOPICS)) or "'stoker help' lists them"
        raise UsageError(f"there is no command or topic {args.name!r}: {hint}")
    return 0


def _topics() -> str:
    width = max(map(len, TOPICS))
    return "\n".join(
        ["Topics of 'stoker help TOPIC':", *(f"  {name:<{width}}  {text[0]}" for name, text in TOPICS.items())]
    )
