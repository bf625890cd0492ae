"""The keys of one machine: its own pairs, and the masters it trusts (docs/architecture.md, "Keys").

Keys are CURVE keys in Z85: 40 printable characters. ``authorizer`` decides whom a master admits.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import zmq

from stoker.core.model.states import Role
from stoker.errors import ConfigError
from stoker.security.files import check_private, locked, make_folder, numbered_words, read_text, write_private

KEY = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")  # the Z85 alphabet (RFC 32)


class Keys:
    """The keys folder of this machine. ``Keys.open`` returns one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authorized: Path = folder / "authorized"
        self.known_masters: Path = folder / "known_masters"
        self._turns: dict[str, int] = {}  # address -> the key to try

    @classmethod
    def open(cls, folder: Path, *, create: tuple[Role, ...] | None) -> Keys:
        """Return the keys in ``folder``. With ``create``, first make what those roles lack on this machine.

        That is: a pair for each role, its line in ``authorized``, and, on a machine with a master's pair and without
        ``known_masters``, a ``known_masters`` that trusts this master at every address (``*``). Existing files are not
        changed, and nothing is made in a folder that an operator or a playbook made with ``make``. Any number of processes
        may call this at the same time.

        Raises ConfigError when the folder is missing, readable by others or owned by another user.
        """
        keys = cls(folder)
        if create and not keys._managed.exists() and not keys._complete(create):
            keys._create(create)
        check_private(folder, 0o700)
        return keys

    @classmethod
    def make(cls, folder: Path, roles: Sequence[Role]) -> bool:
        """Make the pairs that these roles lack, for an operator or a playbook who brings ``authorized`` and
        ``known_masters`` to the machines; True if any was made. Raises ConfigError like ``open``."""
        keys = cls(folder)
        missing = [role for role in roles if not keys._private(role).exists()]
        if missing or not keys._managed.exists():
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                check_private(folder, 0o700)
                with locked(folder):
                    make_folder(keys._private(Role.MASTER).parent)
                    write_private(
                        keys._managed, "Whoever made this folder says who is authorized; daemons add nobody.\n"
                    )
                    for role in missing:
                        write_private(keys._private(role), "{}\n{}\n".format(*new_pair()))
            except OSError as error:
                raise ConfigError(f"cannot make keys in {folder} ({error.strerror}): set STOKER_KEYS_DIR") from None
        return bool(missing)

    @classmethod
    def take(cls, folder: Path, role: Role, pair: tuple[str, str], known_masters: str) -> None:
        """Put a pair that somebody else made into the folder, and the masters that it is for. Raises ConfigError."""
        keys = cls(folder)
        cls.make(folder, [])
        try:
            with locked(folder):
                write_private(keys.known_masters, known_masters)
                write_private(keys._private(role), "{}\n{}\n".format(*pair))
        except OSError as error:
            raise ConfigError(f"cannot write keys in {folder} ({error.strerror}): set STOKER_KEYS_DIR") from None

    def roles(self) -> list[Role]:
        """Return the roles that have a pair in this folder."""
        return [role for role in Role if self._private(role).exists()]

    def pair(self, role: Role) -> tuple[str, str]:
        """Return the (public key, secret key) of ``role``. Raises ConfigError when it is missing or open to other
        users."""
        path = self._private(role)
        check_private(path.parent, 0o700)
        check_private(path, 0o600)
        lines = read_text(path).split()
        if len(lines) != 2 or not all(map(KEY.fullmatch, lines)):
            raise ConfigError(f"{path}: not a public and a secret key on two lines; restore it, or remove it")
        public, secret = lines
        if zmq.curve_public(secret.encode()).decode() != public:
            raise ConfigError(f"{path}: the two keys are not a pair; restore it, or remove it")
        return public, secret

    def master_key(self, address: str) -> str:
        """The public key of the master at ``address`` (HOST:PORT): its own line, else that of ``*``. While a master changes
        its key it has two lines; ``try_next_key`` goes on to the other.

        Raises ConfigError when neither is there or the file is malformed.
        """
        masters = _parse_known_masters(self.known_masters)
        found = masters.get(address) or masters.get("*")
        if found is None:
            raise ConfigError(f"no key for master {address}: add `{address} PUBLIC-KEY` to {self.known_masters}")
        return found[self._turns.get(address, 0) % len(found)]

    def try_next_key(self, address: str) -> None:
        """Use the master's other key next time: the one that ``master_key`` returned may be wrong."""
        self._turns[address] = self._turns.get(address, 0) + 1

    def stage(self, roles: Sequence[Role]) -> dict[Role, str]:
        """Make the missing staged pairs of ``roles``, which will replace those in use; return the public keys. Raises
        ConfigError."""
        with self._changing():
            for role in roles:
                if not self._staged(role).exists():
                    write_private(self._staged(role), "{}\n{}\n".format(*new_pair()))
        return self.staged()

    def staged(self) -> dict[Role, str]:
        """Return the public keys, by role, of the pairs that ``switch`` will put into use."""
        return {role: read_text(self._staged(role)).split()[0] for role in Role if self._staged(role).exists()}

    def switch(self) -> bool:
        """Put the staged pairs into use; daemons use them from their next start. False if there are none."""
        roles = list(self.staged())
        with self._changing():
            for role in roles:
                self._staged(role).replace(self._private(role))
        return bool(roles)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with locked(self.folder):
                yield
        except OSError as error:
            raise ConfigError(f"cannot change keys in {self.folder} ({error.strerror})") from None

    @property
    def _managed(self) -> Path:
        return self.folder / "managed"

    def _private(self, role: Role) -> Path:
        return self.folder / "private" / f"{role.value}.key"

    def _staged(self, role: Role) -> Path:
        return self.folder / "private" / f"{role.value}.key.next"

    def _complete(self, roles: Sequence[Role]) -> bool:
        return self.known_masters.exists() and all(self._private(role).exists() for role in roles)

    def _create(self, roles: Sequence[Role]) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_private(self.folder, 0o700)
            with locked(self.folder):
                make_folder(self.folder / "private")
                for role in roles:
                    if not self._private(role).exists():
                        self._create_pair(role)
                if self._private(Role.MASTER).exists() and not self.known_masters.exists():
                    write_private(self.known_masters, f"* {self.pair(Role.MASTER)[0]}\n")
        except OSError as error:
            raise ConfigError(f"cannot make keys in {self.folder} ({error.strerror}): set STOKER_KEYS_DIR") from None

    def _create_pair(self, role: Role) -> None:
        public, secret = new_pair()
        # Admitted first: stopped in between, the next start makes another pair, and this line admits nobody.
        known = read_text(self.authorized) if self.authorized.exists() else "# ROLE PUBLIC-KEY NAME\n"
        known += "" if known.endswith("\n") else "\n"
        write_private(self.authorized, f"{known}{role.value} {public} {_name_of(role)}\n")
        write_private(self._private(role), f"{public}\n{secret}\n")


def _parse_known_masters(path: Path) -> dict[str, list[str]]:
    masters: dict[str, list[str]] = {}
    for where, words in numbered_words(path):
        if len(words) != 2 or not KEY.fullmatch(words[1]) or not (words[0] == "*" or ":" in words[0]):
            raise ConfigError(f"{where}: not `HOST:PORT PUBLIC-KEY` or `* PUBLIC-KEY` (key 40 characters of Z85)")
        if words[1] in masters.setdefault(words[0], []):
            raise ConfigError(f"{where}: {words[0]} has this line already")
        masters[words[0]].append(words[1])
    return masters


def new_pair() -> tuple[str, str]:
    """Return a public and a secret key."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def _name_of(role: Role) -> str:
    """Return the name of a key that this machine makes for itself. A client's is its unix user's, whom the kernel proves to
    the dashboard under the same name (ADR 22)."""
    if role not in (Role.CLIENT, Role.ADMIN):
        return host_name()
    try:
        import pwd  # noqa: PLC0415 - Unix

        return "".join(pwd.getpwuid(os.geteuid()).pw_name.split()) or host_name()
    except (ImportError, KeyError):
        return host_name()


def host_name() -> str:
    """Return this machine's name as a single word for ``authorized``."""
    return "".join(platform.node().split()) or "localhost"
