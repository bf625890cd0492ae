"""Run ``stoker WORDS`` and write the CPU time of each phase to stderr: name, tab, milliseconds. ``commands`` starts it."""

# ruff: noqa: E402, F401 - the order of these imports is what is measured
import time

MARKS = [("start of Python", time.process_time())]


def mark(name: str) -> None:
    MARKS.append((name, time.process_time()))


import gc

gc.disable()  # as cli.entry does
import msgspec

mark("import of msgspec")
import zmq

mark("import of pyzmq")
import argparse
import locale
import pathlib

mark("import of argparse, gettext, locale, pathlib, urllib.parse")
import os
import sys

from stoker.cli import entry, streams
from stoker.cli.parser import parser_of

mark("import of stoker.cli")
import stoker.core.model.messages

mark("import of the messages")
import stoker.client.session.session

mark("import of the session")
parser, module = parser_of(sys.argv[1])
mark("import of the command, its parser")
args = parser.parse_args(sys.argv[2:])
gc.freeze()
gc.enable()
mark("arguments")
from stoker.wire import codec

codec.to_client._decoder  # noqa: B018 - made at its first use
mark("the decoder of answers")
code = module.run(args, os.environ)
mark("settings, keys, connection, questions and answers, output")
for (name, since), (_, before) in zip(MARKS, [("", 0.0), *MARKS], strict=False):
    print(f"{name}\t{1000 * (since - before):.3f}", file=sys.stderr)
sys.exit(code)
