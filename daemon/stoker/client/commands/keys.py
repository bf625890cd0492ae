"""``stoker keys``: the keys of this machine, for clusters whose keys are distributed by playbooks or by an operator, and the
keys of people (docs/security.md)."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from stoker.client.notices import deliver, say
from stoker.config.client import client_config
from stoker.config.common import audit_trail, keys_dir, person_dir, person_keys_dir
from stoker.config.sources import load_settings
from stoker.config.types import parse_duration
from stoker.core.model.states import Role
from stoker.errors import StokerError, UsageError
from stoker.security import people
from stoker.security.audit import audit_command, open_for_command
from stoker.security.authorizer import Peer
from stoker.security.keys import Keys, host_name
from stoker.security.times import iso

_EPILOG = """\
Private keys of machines never leave the machine. The lines that `show` prints go into the file `authorized` in the keys
folder of each master; the master's own key goes, as `HOST:PORT PUBLIC-KEY`, into `known_masters` on workers and clients.
To change keys without an interruption: run `stage`, which makes new keys and prints them; add their lines beside the old
ones; run `switch`, and restart the daemons; remove the old lines.

A person gets a key in one of two ways, both on a master's machine:
  stoker keys invite ada --expires 90d > ada.invitation    ada runs: stoker keys accept ada.invitation
  stoker keys admit ada PUBLIC-KEY --expires 90d           ada ran `stoker keys make client` and keeps the private key
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    machine_actions = "make ROLE... | show | stage | switch"
    parser.usage = f"stoker keys {machine_actions} | invite NAME | admit NAME KEY | accept FILE | list | revoke NAME"
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", prog="stoker keys")
    roles = " | ".join(role.value for role in Role)
    machine = {
        "make": actions.add_parser("make", description="make the keys that these roles lack"),
        "show": actions.add_parser("show", description="print the public keys"),
        "stage": actions.add_parser("stage", description="make the next keys, and print them"),
        "switch": actions.add_parser("switch", description="use the staged keys"),
    }
    machine["make"].add_argument("role", nargs="+", help=roles)
    for action in machine.values():
        action.add_argument(
            "--json", action="store_true", help="print for scripts: public keys by role, and whether any was made"
        )
    invite = actions.add_parser("invite", description="make a key for a person, admit it, and print an invitation")
    admit = actions.add_parser("admit", description="admit the public key of a person")
    for action in (invite, admit):
        action.add_argument("name", help="the person: jobs submitted with the key belong to this name")
        action.add_argument("--role", choices=[role.value for role in people.ROLES], default="client")
        action.add_argument(
            "--expires", metavar="TIME", help="when the key expires, such as 12h or 90d (default: never)"
        )
    invite.add_argument("--master", metavar="URL", help="masters of the cluster, as its clients reach them")
    admit.add_argument("key", help="what `stoker keys make client` printed on the person's machine")
    accept = actions.add_parser("accept", description="take the key of an invitation")
    accept.add_argument("file", help="file with the invitation; - for standard input")
    revoke = actions.add_parser("revoke", description="admit a person's keys no longer: rejected within a second")
    revoke.add_argument("name")
    people_list = actions.add_parser("list", description="print the people whose keys are admitted")
    people_list.add_argument("--json", action="store_true", help="print for scripts; expires: seconds since 1970, or 0")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    settings = load_settings(environ)
    folder = person_keys_dir(settings) if args.action in ("accept", "make", "show") else keys_dir(settings)
    if args.action == "list":
        _list(Keys.open(folder, create=None), as_json=args.json)
        return 0
    if args.action != "show":
        open_for_command(*audit_trail(settings))
    if args.action == "accept":
        _accept(args, folder, person_dir(settings))
    elif args.action in ("invite", "admit", "revoke"):
        _change_people(args, Keys.open(folder, create=None), environ)
    else:
        _show(args, folder)
    if args.action != "show":
        audit_command(f"keys-{args.action}", _changed(args))
    return 0


def _changed(args: argparse.Namespace) -> str:
    if args.action in ("invite", "admit"):
        return f"{args.role}:{args.name}"
    return str(args.name) if args.action == "revoke" else ",".join(getattr(args, "role", ["-"]))


def _show(args: argparse.Namespace, folder: Path) -> None:
    changed = Keys.make(folder, [_role(word) for word in args.role]) if args.action == "make" else False
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


def _change_people(args: argparse.Namespace, keys: Keys, environ: Mapping[str, str]) -> None:
    if args.action == "revoke":
        people.revoke(keys, args.name)
        print(f"{args.name} is revoked")
        return
    lifetime = parse_duration(args.expires) if args.expires else None
    if lifetime == 0:
        raise UsageError(
            "--expires 0: the key would have expired already; leave the option out for one that never expires"
        )
    role = Role(args.role)
    if args.action == "admit":
        people.admit(keys, args.name, role, args.key, lifetime)
        print(f"{args.name} is admitted as {role.value}")
        return
    masters = client_config(args, environ).masters
    public, invitation = people.invite(keys, args.name, role, lifetime, masters)
    deliver(invitation, deed=f"{args.name} is invited: take it back with 'stoker keys revoke {args.name}'")
    if len(masters) > 1:
        say(f"on the other masters' machines run: stoker keys admit {args.name} {public}{_same(args)}")
    say(f"whoever has this line is {args.name} for the cluster: send it as a secret; 'stoker keys accept' takes it")


def _list(keys: Keys, *, as_json: bool) -> None:
    found = sorted(people.listed(keys), key=lambda entry: entry[1].name)
    if as_json:
        rows = [
            {
                "name": peer.name,
                "role": peer.role.value,
                "public": public,
                "expires": peer.expires,
                "expired": _has_expired(peer),
            }
            for public, peer in found
        ]
        print(json.dumps(rows))
        return
    for public, peer in found:
        word = "expired" if _has_expired(peer) else "until"
        expiry = f"{word} {iso(peer.expires)}" if peer.expires else "never expires"
        print(f"{peer.name:20} {peer.role.value:6} {expiry:28} {public}")
    if not found:
        print("nobody was invited here: 'stoker keys invite NAME'")


def _has_expired(peer: Peer) -> bool:
    return 0 < peer.expires <= time.time()


def _same(args: argparse.Namespace) -> str:
    """Return the options of an invitation again."""
    role = f" --role {args.role}" if args.role != Role.CLIENT.value else ""
    return role + (f" --expires {args.expires}" if args.expires else "")


def _accept(args: argparse.Namespace, folder: Path, profile: Path) -> None:
    try:
        invitation = sys.stdin.read() if args.file == "-" else Path(args.file).read_text(encoding="utf-8")
        name, url = people.accept(folder, invitation)
        (profile / "client").write_text(f"{url}\n")
    except OSError as error:
        raise StokerError(f"{error.filename}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{args.file} is not text") from None
    print(f"you are {name} for {url}")


def _role(word: str) -> Role:
    try:
        return Role(word)
    except ValueError:
        raise UsageError(f"{word!r} is not a role: use {', '.join(role.value for role in Role)}") from None
