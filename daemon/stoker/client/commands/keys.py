"""``stoker keys make|show``: the keys of this machine, for clusters whose keys are carried from host to host by playbooks
or by hand (docs/security.md)."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping

from stoker.config.common import keys_dir
from stoker.config.sources import load_settings
from stoker.core.states import Role
from stoker.errors import UsageError
from stoker.io.auth import Keys, host_name

_EPILOG = """\
Private keys never leave the machine. The lines that `show` prints go into the file `authorized` in the keys folder of each
master; the master's own key goes, as `HOST:PORT PUBLIC-KEY`, into `known_masters` on workers and clients.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker keys make ROLE... | stoker keys show"
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("action", choices=("make", "show"), help="make what is missing, or show what is there")
    parser.add_argument("role", nargs="*", help=" | ".join(role.value for role in Role))
    parser.add_argument("--json", action="store_true", help="public keys by role, and whether any was made")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    folder = keys_dir(load_settings(environ))
    roles = [_role(word) for word in args.role]
    if bool(roles) != (args.action == "make"):
        raise UsageError("write it like `stoker keys make worker`, or `stoker keys show`")
    made = Keys.make(folder, roles) if args.action == "make" else False
    keys = Keys.open(folder, create=None)
    public = {role.value: keys.pair(role)[0] for role in keys.roles()}
    if args.json:
        print(json.dumps({"changed": made, "public": public, "folder": os.fspath(folder)}))
    else:
        for role, key in public.items():
            print(role, key, host_name())
    return 0


def _role(word: str) -> Role:
    try:
        return Role(word)
    except ValueError:
        raise UsageError(f"{word!r} is no role: {', '.join(role.value for role in Role)}") from None
