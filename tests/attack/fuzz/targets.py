"""What is fuzzed: for each parser, how an input is made from a seed, and how it is handled. A handler raises only if it has
found a bug: its parser's own errors end there."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from stoker.config.pools import read_pools
from stoker.config.sources import read_properties
from stoker.config.spark_env import parse_spark_env
from stoker.core.master.invariants import violations
from stoker.core.master.rules import RULES
from stoker.core.model.messages import Message, roles_allowed
from stoker.core.model.states import Role
from stoker.errors import ConfigError, ProtocolError
from stoker.gateway.crypto import AuthMessage
from stoker.gateway.guard import Guard
from stoker.gateway.sasl import AuthError
from stoker.gateway.session import PeerSession
from stoker.gateway.spark_rpc import Address, Envelope, Frame, FrameReader, Kind, RpcError, frame, seal_envelope
from stoker.gateway.terms import Terms
from stoker.security.authorizer import parse_authorized
from stoker.web.master import make_app
from stoker.web.rest.protocol import MalformedRequest, parse_create
from stoker.web.rest.submission import describe
from stoker.web.serve import LazyWebServer
from stoker.wire import codec
from tests.attack.fuzz.mutate import mutated
from tests.attack.java_graphs import KNOWN, Graph
from tests.support.core import Bench
from tests.support.web import Control, cluster_view
from tests.support.wire_examples import DIRECTIONS, example

Handle = Callable[[], None]
Maker = Callable[[random.Random], Handle]  # makes an input, and returns what handles it
LONGEST_ANSWER = 5.0  # seconds of an HTTP request: its threads wait for others on a busy machine
_OWN_ROOM = re.compile(r"^worker-\S+ (is over-committed|has \d+ jobs on )")
_ROOTS = [name for name in KNOWN if "DeployMessages$" in name]
_MASTER = Address("m", 1)


class Codec:
    """A few messages of the three directions. What decodes as a message to a master is handled by one, in each role that
    may send it."""

    def __init__(self) -> None:
        self._examples = [codec.encode(example(kind))[1] for kinds in DIRECTIONS.values() for kind in kinds]

    def __call__(self, draw: random.Random) -> Handle:
        bodies = [mutated(draw, self._examples) for _ in range(draw.randint(1, 6))]
        return lambda: self._handle(bodies)

    def _handle(self, bodies: list[bytes]) -> None:
        bench = Bench(secret=b"fuzz")
        for body in bodies:
            frames = [codec.HEADER, body]
            for decoder in (codec.to_worker, codec.to_client):
                with contextlib.suppress(ProtocolError):
                    decoder.decode(frames)
            with contextlib.suppress(ProtocolError):
                message = codec.to_master.decode(frames)
                for role in sorted(roles_allowed(type(message)) if type(message) in RULES else ()):
                    _send(bench, message, role)


def _send(bench: Bench, message: Message, role: Role) -> None:
    """Send it. The books must stay consistent, but a worker may report more jobs of its own than it has room for."""
    try:
        bench.send("w1" if role is Role.WORKER else "c1", message, key=role.value, role=role)
    except AssertionError:
        found = violations(bench.core.ctx.books)
        if not found or any(not _OWN_ROOM.search(one) for one in found):
            raise


def _session() -> PeerSession:
    return PeerSession(
        token="t", master=_MASTER, send=lambda data: None, post=lambda message: None,
        log=lambda kind, text: None, close=lambda: None,
    )  # fmt: skip


def _receive(body: bytes) -> None:
    with contextlib.suppress(RpcError):
        _session().received(Frame(Kind.RPC_REQUEST, 1, body))


def graphs(draw: random.Random) -> Handle:
    """Graphs of Java classes and objects, whole or changed."""
    payload = Graph(draw.randrange(2**32)).build(draw.choice(_ROOTS))[: 1 << 20]
    if draw.random() < 0.3:
        payload = mutated(draw, [payload])
    body = seal_envelope(Envelope(None, _MASTER, "Master", payload))
    return lambda: _receive(body)


class Frames:
    """Frames of Spark's RPC, in pieces of any size."""

    def __init__(self) -> None:
        body = seal_envelope(Envelope(_MASTER, _MASTER, "Master", Graph(1).build(_ROOTS[0])[:2000]))
        self._examples = [frame(kind, body, 7) for kind in Kind]

    def __call__(self, draw: random.Random) -> Handle:
        data = mutated(draw, self._examples)
        step = draw.choice((1 + len(data) // 50, 1000, 1 << 20))
        return lambda: self._handle(data, step)

    def _handle(self, data: bytes, step: int) -> None:
        reader = FrameReader()
        with contextlib.suppress(RpcError):
            for at in range(0, len(data), step):
                for found in reader.feed(data[at : at + step]):
                    if found.kind in (Kind.RPC_REQUEST, Kind.ONE_WAY):
                        _receive(found.body)


class Sasl:
    """Both ways of Spark clients to authenticate."""

    def __init__(self) -> None:
        user = b"sparkSaslUser"
        head = b"\xea" + len(user).to_bytes(4, "big") + user
        answer = (
            b'username="x",realm="default",nonce="n",nc=00000001,cnonce="c",digest-uri="null/default",qop=auth,'
            b"response=0123456789abcdef0123456789abcdef"
        )
        self._examples = [
            head + answer,
            head,
            head + b'a="' + b"\\" * 50,
            b"\xea",
            AuthMessage("app", b"1" * 16, b"2" * 80).encode(),
        ]

    def __call__(self, draw: random.Random) -> Handle:
        bodies = [mutated(draw, self._examples) for _ in range(3)]
        return lambda: self._handle(bodies)

    def _handle(self, bodies: list[bytes]) -> None:
        guard = Guard(Terms(secret="a secret"), lambda: "n")
        for body in bodies:
            with contextlib.suppress(AuthError):
                guard.received(body)
        assert not guard.is_done, "somebody without the secret was let in"


class Rest:
    """Submissions over REST."""

    def __init__(self) -> None:
        request = {
            "action": "CreateSubmissionRequest", "clientSparkVersion": "3.5.0", "appResource": "file:/a.jar",
            "mainClass": "a.B", "appArgs": ["1", "{{HOME}}"], "environmentVariables": {"A": "b"},
            "sparkProperties": {"spark.app.name": "n", "spark.driver.cores": "2", "spark.driver.memory": "1g",
                                "spark.driver.extraJavaOptions": "-Da='b c'", "spark.jars": "a.jar,b.jar"},
        }  # fmt: skip
        self._examples = [
            json.dumps(request).encode(),
            json.dumps(request | {"mainClass": "org.apache.spark.deploy.SparkSubmit"}).encode(),
        ]

    def __call__(self, draw: random.Random) -> Handle:
        body = mutated(draw, self._examples)
        return lambda: self._handle(body)

    def _handle(self, body: bytes) -> None:
        with contextlib.suppress(MalformedRequest):
            request, _ = parse_create(body)
            describe(request, master_url="spark://m:7077", environ={"HOME": "/h"}, allowed=())


class Http:
    """Requests to a dashboard's port. The server runs in this process, in threads of its own."""

    def __init__(self) -> None:
        self._server = LazyWebServer("127.0.0.1", 0, lambda: make_app(cluster_view, Control()))
        self._server.start()
        self._examples = [
            b"GET /api/v1/drivers?limit=5&state=RUNNING HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
            b"GET / HTTP/1.0\r\nCookie: a=b; session=x\r\nAuthorization: Bearer t\r\n\r\n",
            b"POST /driver/kill/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\na=b&c",
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n",
        ]

    def __call__(self, draw: random.Random) -> Handle:
        data = mutated(draw, self._examples)
        return lambda: self._handle(data)

    def _handle(self, data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self._server.port), timeout=LONGEST_ANSWER) as connection:
            answer = b""
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(1 << 16):
                    answer += piece
        assert answer[:7] in (b"", b"HTTP/1."), f"an answer that is not HTTP: {answer[:100]!r}"
        assert b"HTTP/1.1 500" not in answer and b"HTTP/1.0 500" not in answer, f"the page failed for {data[:200]!r}"

    def close(self) -> None:
        """Stop the server."""
        self._server.close()


class ConfigurationFile:
    """A file that daemons and commands read, given examples of it."""

    def __init__(self, read: Callable[[Path], object], examples: list[bytes]) -> None:
        self._read, self._examples = read, examples
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name, "file")

    def __call__(self, draw: random.Random) -> Handle:
        self._path.write_bytes(mutated(draw, self._examples))
        return self._handle

    def _handle(self) -> None:
        with contextlib.suppress(ConfigError):
            self._read(self._path)

    def close(self) -> None:
        """Remove the file."""
        self._folder.cleanup()


_PROPERTIES = [b"spark.a b\nspark.c\\ d : e\\u0041\\\n  more\n# no\n! no\nk=v\r\n", b"spark.ui.port 8080\n"]
_SPARK_ENV = [
    b"export A=1 B='x y'\nC=\"$A ${B:-z} ${D:=$A}\"\nA+=2\n",
    b"X=${Y:+${Z-a\\ b}}\n",
    b"P=~root:~/x\nQ=$'a\\n'\n",
]
_POOLS = [
    b"pools:\n  etl: {weight: 3, users: [ada, 'team-*'], max: {cores: 10, memory: 4g}, time_limit: 2h}\n  default:\n"
    b"scheduler: {half_life: 1d}\n",
    b"pools: {a: &a {min_share: {cores: 2}, priority: {default: 1, max: 5}}, b: *a, c: {max_disk: 20g, operators: [x]}}\n",
]
_AUTHORIZED = [
    b"client " + b"a" * 40 + b" ada 2030-12-31T00:00:00Z\nworker " + b"b" * 40 + b" h1\n# no\n",
    b"admin " + b"c" * 40 + b" eve -\n",
]

TARGETS: dict[str, Callable[[], Maker]] = {
    "codec": Codec,
    "graphs": lambda: graphs,
    "frames": Frames,
    "sasl": Sasl,
    "http": Http,
    "rest": Rest,
    "properties": lambda: ConfigurationFile(read_properties, _PROPERTIES),
    "spark-env": lambda: ConfigurationFile(lambda path: parse_spark_env(path, {"HOME": "/h", "A": "0"}), _SPARK_ENV),
    "pools": lambda: ConfigurationFile(read_pools, _POOLS),
    "authorized": lambda: ConfigurationFile(parse_authorized, _AUTHORIZED),
}
