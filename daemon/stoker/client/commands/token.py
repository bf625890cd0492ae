"""``stoker token create|list|revoke``: tokens for dashboards and the HTTP interfaces (docs/security.md).

It changes this machine's keys folder; ``playbooks/token.yml`` does the same for a whole cluster.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping

from stoker.client.notices import deliver, say
from stoker.client.show import table
from stoker.config.common import audit_trail, keys_dir
from stoker.config.sources import load_settings
from stoker.config.types import parse_duration
from stoker.errors import UsageError
from stoker.security.audit import audit_command, open_for_command
from stoker.security.roles import ROLES, AccessRole
from stoker.security.tokens import Token, TokenFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "stoker token create --name NAME [--role ROLE] [--expires 30d] | list [--json | --hashes] | revoke NAME|ID..."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="create|list|revoke", prog="stoker token")
    create = actions.add_parser("create", description="create a token and print it; it cannot be shown again")
    create.add_argument("--name", required=True, help="who or what it is for; audit lines show it")
    create.add_argument("--role", choices=ROLES, default="viewer", help="what it permits (default: viewer)")
    create.add_argument("--expires", metavar="TIME", help="when it expires, such as 12h or 30d (default: never)")
    shown = actions.add_parser("list", description="list the tokens")
    shown.add_argument("--json", action="store_true", help="print for scripts")
    shown.add_argument(
        "--hashes", action="store_true", help="print the file of tokens, for the cluster's other machines"
    )
    revoke = actions.add_parser("revoke", description="revoke tokens: rejected within a second")
    revoke.add_argument("tokens", nargs="+", metavar="NAME|ID")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    settings = load_settings(environ)
    tokens = TokenFile(keys_dir(settings))
    if args.action != "list":
        open_for_command(*audit_trail(settings))
    if args.action == "create":
        lifetime = parse_duration(args.expires) if args.expires else None
        if lifetime == 0:
            raise UsageError(
                "--expires 0: the token would have expired already; leave the option out for one that never expires"
            )
        secret = tokens.create(args.name, AccessRole[args.role.upper()], lifetime)
        audit_command("token-create", f"{args.role}:{args.name}")
        deliver(secret, deed=f"the token {args.name} is created: revoke it with 'stoker token revoke {args.name}'")
        say(f"store the token now: only its hash is kept, in {tokens.path}")
    elif args.action == "revoke":
        for name in dict.fromkeys(args.tokens):
            token = tokens.revoke(name)
            audit_command("token-revoke", f"{token.role.label}:{token.name}")
            print(f"{token.name} ({token.role.label}) is revoked")
    elif args.hashes:
        print(tokens.text(), end="")
    else:
        _list(tokens.read(), as_json=args.json)
    return 0


def _list(tokens: list[Token], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([_plain(token) for token in tokens], indent=2))
        return
    now = time.time()
    rows = [
        [token.id, token.role.label, token.name, table.when(token.created), _until(token, now)]
        for token in sorted(tokens, key=lambda token: token.created)
    ]
    print(table.table("Tokens", ["ID", "ROLE", "NAME", "CREATED", "EXPIRES"], rows))


def _until(token: Token, now: float) -> str:
    if not token.expires:
        return "never"
    return table.when(token.expires) + ("" if token.is_valid(now) else " (expired)")


def _plain(token: Token) -> dict[str, object]:
    """Times in seconds since the Unix epoch; ``expires`` 0: never."""
    return {
        "id": token.id,
        "role": token.role.label,
        "name": token.name,
        "created": token.created,
        "expires": token.expires,
    }
