"""Keys of people: lines of ``authorized`` that no playbook makes, and invitations, which bring a key to its person.

Such a line is ``ROLE PUBLIC-KEY NAME EXPIRES``; EXPIRES is ``-`` for a key that does not expire. Lines of machines have three
words, so a playbook that writes ``authorized`` again can tell them apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stoker.core.model.states import Role
from stoker.errors import ConfigError, NotFound, UsageError
from stoker.security.authorizer import Peer, parse_authorized
from stoker.security.files import locked, read_text, write_private
from stoker.security.keys import KEY, Keys, new_pair
from stoker.security.times import iso
from stoker.security.tokens import NAME

ROLES = (Role.CLIENT, Role.ADMIN)
_KIND = "stoker-invitation-1"


def admit(keys: Keys, name: str, role: Role, public: str, lifetime: float | None) -> None:
    """Add a person's public key to ``authorized``; ``lifetime`` in seconds. Raises UsageError, ConfigError."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a name for a person's key: 1 to 64 letters, digits and _ . @ -")
    if not KEY.fullmatch(public):
        raise UsageError(f"{public!r} is not a public key: `stoker keys make {role.value}` prints one of 40 characters")
    expires = iso(time.time() + lifetime) if lifetime else "-"

    def add(lines: list[str]) -> list[str]:
        known = parse_authorized(keys.authorized)
        if public in known:
            raise UsageError(f"that key is admitted already, as {known[public].name}")
        if any(peer.name == name and peer.is_person for peer in known.values()):
            raise UsageError(f"{name} has a key: `stoker keys revoke {name}` first, or choose another name")
        return [*lines, f"{role.value} {public} {name} {expires}"]

    _change(keys, add)


def revoke(keys: Keys, name: str) -> None:
    """Remove a person's keys from ``authorized``. Raises NotFound, ConfigError."""

    def remove(lines: list[str]) -> list[str]:
        left = [
            line for line in lines if len(words := line.split()) != 4 or words[0].startswith("#") or words[2] != name
        ]
        if len(left) == len(lines):
            people = sorted({peer.name for _, peer in listed(keys)})
            raise NotFound(f"nobody named {name} was invited here; there {_are(people)}")
        return left

    _change(keys, remove)


def listed(keys: Keys) -> list[tuple[str, Peer]]:
    """Return the keys of people in ``authorized``, also expired ones, with their public keys. Raises ConfigError."""
    return [(public, peer) for public, peer in parse_authorized(keys.authorized).items() if peer.is_person]


def invite(keys: Keys, name: str, role: Role, lifetime: float | None, masters: Sequence[str]) -> tuple[str, str]:
    """Make a pair for a person and admit it; return the public key and the invitation: a line with the pair, and with the
    ``masters`` (HOST:PORT) and their keys. It is a secret. Raises UsageError, ConfigError."""
    known = {address: keys.master_key(address) for address in masters}
    public, secret = new_pair()
    admit(keys, name, role, public, lifetime)
    words = {"kind": _KIND, "name": name, "role": role.value, "public": public, "secret": secret, "masters": known}
    return public, json.dumps(words, separators=(",", ":"))


def accept(folder: Path, invitation: str) -> tuple[str, str]:
    """Take the keys of an invitation into the keys folder; return the person's name and the master URL. Raises UsageError
    for what is no invitation or where another key is in use, ConfigError."""
    found = _read(invitation)
    role = Role(found["role"])
    keys = Keys(folder)
    if role in keys.roles() and keys.pair(role)[0] != found["public"]:
        raise UsageError(
            f"this machine has a {role.value} key in {folder}: move it away, or set STOKER_KEYS_DIR to a folder for this one"
        )
    known = "".join(f"{address} {key}\n" for address, key in found["masters"].items())
    Keys.take(folder, role, (found["public"], found["secret"]), known)
    return found["name"], "spark://" + ",".join(found["masters"])


def _read(invitation: str) -> dict[str, Any]:
    try:
        found = json.loads(invitation)
        right = (
            found["kind"] == _KIND
            and Role(found["role"]) in ROLES
            and all(KEY.fullmatch(found[name]) for name in ("public", "secret"))
            and NAME.fullmatch(found["name"])
            and found["masters"]
            and all(":" in address and KEY.fullmatch(key) for address, key in found["masters"].items())
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        right = False
    if not right:
        raise UsageError("that is not an invitation: give the whole line that `stoker keys invite NAME` printed")
    return dict(found)


def _change(keys: Keys, change: Callable[[list[str]], list[str]]) -> None:
    try:
        with locked(keys.folder):
            lines = read_text(keys.authorized).splitlines()
            write_private(keys.authorized, "".join(f"{line}\n" for line in change(lines)))
    except OSError as error:
        raise ConfigError(f"cannot change {keys.authorized}: {error.strerror}") from None


def _are(people: list[str]) -> str:
    return f"are {', '.join(people)}" if people else "is nobody"
