"""``stoker relay``: the remote half of ``stoker --via`` and ``stoker tunnel``, started over ssh by the local half.

It listens on loopback for one client, whose public keys are its arguments, and forwards that client's messages to the
cluster under the keys of the user it runs as. Everyone who may log in has that user's rights while the ssh session lasts:
no private key leaves its machine, and no key is admitted permanently (ADR 7).

It prints one line of JSON: where it listens, and its key. It exits at the end of its stdin.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from stoker.client.session.session import Session
from stoker.config.client import ClientConfig, add_client_arguments, client_config
from stoker.core.model.messages import Failed, Message, ToClient
from stoker.core.model.states import Role
from stoker.errors import StokerError, UsageError
from stoker.io.loop import Loop
from stoker.io.signals import END_SIGNALS
from stoker.io.sockets import Closed, Incoming, Link, Opened, PeerGone, Server
from stoker.security.authorizer import Authorizer
from stoker.security.keys import Keys
from stoker.version import __version__
from stoker.wire import codec

BATCH = 1000  # messages taken at a time
MASTER_WITHIN = 5.0  # seconds until there must be a master at the start; later losses are the client's to wait out
REBIND_WITHIN = 5.0  # seconds until the port of a closed server is free again, at most
_KEY_LENGTH = 40  # characters of Z85


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_client_arguments(parser)
    for role in (Role.CLIENT, Role.ADMIN):
        parser.add_argument(
            f"--{role.value}-key", required=True, metavar="KEY", help=f"public key to admit as {role.value}"
        )


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    config = client_config(args, environ)
    keys = Keys.open(config.keys_dir, create=None) if config.authenticate else None
    with Session(config.masters, keys=keys, role=Role.CLIENT, name="relay", timeout=MASTER_WITHIN) as session:
        session.connect()
        master = session.master
    with _own_keys(args.client_key, args.admin_key) as own:
        _Relay(config, keys, own, master).run()
    return 0


@contextlib.contextmanager
def _own_keys(client_key: str, admin_key: str) -> Iterator[Keys]:
    """A keys folder that lives as long as this process: a master's pair, and the two keys that are let in."""
    with tempfile.TemporaryDirectory(prefix="stoker-relay-") as folder:
        keys = Keys.open(Path(folder) / "keys", create=(Role.MASTER,))
        admitted = {Role.CLIENT: client_key, Role.ADMIN: admin_key}
        if any(len(key) != _KEY_LENGTH for key in admitted.values()):
            raise UsageError("--client-key and --admin-key are public keys: 40 characters each")
        keys.authorized.write_text("".join(f"{role.value} {key} via-ssh\n" for role, key in admitted.items()))
        yield keys


class _Relay:
    """Serves until stdin ends. When the master is lost, it closes everything and listens again at the same port, so that
    the client sees a lost master as without a relay, and asks again."""

    def __init__(self, config: ClientConfig, keys: Keys | None, own: Keys, master: str) -> None:
        self._masters = list(config.masters)
        self._keys = keys
        self._own = own
        self._master = master
        self._port = 0
        self._over = False
        self._said = ""

    def run(self) -> None:
        for number in END_SIGNALS:
            signal.signal(number, lambda *_: sys.exit(0))
        while not self._over:
            loop = Loop()
            try:
                with contextlib.closing(self._listen(loop)) as server:
                    self._serve(loop, server)
            finally:
                loop.close()

    def _listen(self, loop: Loop) -> Server:
        deadline = time.monotonic() + REBIND_WITHIN
        while True:
            try:
                server = Server(
                    loop,
                    host="127.0.0.1",
                    port=self._port,
                    max_port_retries=0,
                    keys=self._own,
                    authorizer=Authorizer(self._own.folder),
                )
                break
            except StokerError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        if self._port == 0:
            self._port = server.port
            hello = {"port": server.port, "key": self._own.pair(Role.MASTER)[0], "version": __version__}
            print(json.dumps({**hello, "master": self._master}), flush=True)
        return server

    def _serve(self, loop: Loop, server: Server) -> None:
        lines = _Lines(loop, server, self._keys)
        loop.add_reader(sys.stdin.fileno(), lambda: self._read_stdin(loop))

        def round() -> None:
            for event in server.drain(BATCH):
                if isinstance(event, Incoming):
                    lines.up(event, self._master)
                elif isinstance(event, PeerGone):
                    lines.drop(event.peer)
            for peer, item in lines.drain():
                self._down(loop, lines, peer, item)

        try:
            loop.run(round)
        finally:
            lines.close()

    def _down(self, loop: Loop, lines: _Lines, peer: bytes, item: Closed | ToClient) -> None:
        if isinstance(item, Closed):
            self._say(item.reason)
            self._turn_to("")
            loop.stop()
        elif isinstance(item, Failed) and item.code == "not-leader":
            self._turn_to(item.leader)
            lines.answer(peer, msgspec.structs.replace(item, leader=""))  # reachable from this process only
            lines.drop(peer)
        else:
            self._said = ""
            lines.answer(peer, item)

    def _turn_to(self, leader: str) -> None:
        """Choose the master to try next: the leader if it is known, else the next of the list."""
        index = self._masters.index(self._master) if self._master in self._masters else -1
        self._master = leader or self._masters[(index + 1) % len(self._masters)]

    def _say(self, reason: str) -> None:
        if reason != self._said:
            self._said = reason
            print(reason, file=sys.stderr, flush=True)

    def _read_stdin(self, loop: Loop) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            self._over = True
            loop.stop()


class _Lines:
    """A link to the master for each of the client's connections."""

    def __init__(self, loop: Loop, server: Server, keys: Keys | None) -> None:
        self._loop = loop
        self._server = server
        self._keys = keys
        self._links: dict[bytes, Link[ToClient]] = {}
        self._waiting: dict[bytes, list[Message]] = {}  # until the link is open

    def up(self, event: Incoming, master: str) -> None:
        link = self._links.get(event.peer)
        if link is None:
            try:
                link = self._open(event, master)
            except StokerError as error:  # no key for that role here
                request = getattr(event.message, "request", 0)
                self.answer(event.peer, Failed(request=request, reason=str(error), code="not-authorized"))
                return
        if not link.send(event.message):
            self._waiting.setdefault(event.peer, []).append(event.message)

    def answer(self, peer: bytes, message: Message) -> None:
        self._server.send(peer, message)

    def drain(self) -> Iterator[tuple[bytes, Closed | ToClient]]:
        for peer, link in list(self._links.items()):
            for item in link.drain(BATCH):
                if isinstance(item, Opened):
                    for message in self._waiting.pop(peer, ()):
                        link.send(message)
                else:
                    yield peer, item

    def drop(self, peer: bytes) -> None:
        self._waiting.pop(peer, None)
        link = self._links.pop(peer, None)
        if link is not None:
            for source in link.sources():
                self._loop.remove_reader(source)
            link.close(0.5)

    def close(self) -> None:
        for peer in list(self._links):
            self.drop(peer)

    def _open(self, event: Incoming, master: str) -> Link[ToClient]:
        link: Link[ToClient] = Link(
            self._loop.context,
            address=master,
            keys=self._keys,
            role=event.role,
            name=event.name,
            decoder=codec.to_client,
        )
        self._links[event.peer] = link
        for source in link.sources():
            self._loop.add_reader(source)
        return link
