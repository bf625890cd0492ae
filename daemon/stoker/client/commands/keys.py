"""``stoker keys make|show|stage|switch``: the keys of this machine, for clusters whose keys are distributed by playbooks or
by an operator (docs/security.md)."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping

from stoker.config.common import keys_dir
from stoker.config.sources import load_settings
from stoker.core.model.states import Role
from stoker.errors import UsageError
from stoker.security.keys import Keys, host_name

_EPILOG = """\
Private keys never leave the machine. The lines that `show` prints go into the file `authorized` in the keys folder of each
master; the master's own key goes, as `HOST:PORT PUBLIC-KEY`, into `known_masters` on workers and clients.
To change keys without an interruption: run `stage`, which makes new keys and prints them; add their lines beside the old
ones; run `switch`, and restart the daemons; remove the old lines.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker keys make ROLE... | show | stage | switch  [--json]"
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = {
        "make": "make the keys that these roles lack",
        "show": "print the public keys",
        "stage": "make the next keys, and print them",
        "switch": "use the staged keys",
    }
    parser.add_argument(
        "action", choices=tuple(actions), help="; ".join(f"{name}: {what}" for name, what in actions.items())
    )
    parser.add_argument("role", nargs="*", help=" | ".join(role.value for role in Role))
    parser.add_argument(
        "--json", action="store_true", help="print for scripts: public keys by role, and whether any was made"
    )


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    folder = keys_dir(load_settings(environ))
    roles = [_role(word) for word in args.role]
    if bool(roles) != (args.action == "make"):
        raise UsageError("write it like `stoker keys make worker`, or `stoker keys show`")
    changed = Keys.make(folder, roles) if args.action == "make" else False
    keys = Keys.open(folder, create=None)
    if args.action == "stage":
        changed = len(keys.stage(keys.roles())) > 0
    elif args.action == "switch":
        changed = keys.switch()
    public = {role.value: keys.pair(role)[0] for role in keys.roles()}
    staged = {role.value: key for role, key in keys.staged().items()}
    if args.json:
        print(json.dumps({"changed": changed, "public": public, "staged": staged, "folder": os.fspath(folder)}))
    else:
        for role, key in (staged if args.action == "stage" else public).items():
            print(role, key, host_name())
    return 0


def _role(word: str) -> Role:
    try:
        return Role(word)
    except ValueError:
        raise UsageError(f"{word!r} is not a role: use {', '.join(role.value for role in Role)}") from None
