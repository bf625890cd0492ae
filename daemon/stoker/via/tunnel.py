"""``stoker tunnel [USER@]HOST``: the dashboard in a browser and the cluster for commands, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

from stoker.client.api import Client
from stoker.config.client import add_client_arguments, client_config
from stoker.errors import StokerError, Unreachable, UsageError
from stoker.via.forward import Forward
from stoker.via.session import Via, via

LOOK_AGAIN = 1.0  # seconds between two looks at the ssh connection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker tunnel [OPTIONS] [USER@]HOST"
    add_client_arguments(parser)
    parser.add_argument("--port", default="0", metavar="PORT", help="where the master is here (default: any free)")
    parser.add_argument("--webui-port", default="0", metavar="PORT", help="where the dashboard is here (likewise)")
    parser.add_argument(
        "host", metavar="[USER@]HOST", help="where 'stoker status' works; best the leading master's machine"
    )


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 after Ctrl-C or SIGTERM, 1 when the ssh connection was lost."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    signal.signal(signal.SIGINT, lambda *_: over.set())
    with (
        via(args.host, environ, master=args.master, port=_port("--port", args.port)) as there,
        contextlib.ExitStack() as stack,
    ):
        dashboard = _dashboard(there, stack, _port("--webui-port", args.webui_port))
        print(
            f"dashboard  {dashboard}\nmaster     {there.url}  (is {there.master})\n\nFor commands in another terminal:"
        )
        for name in ("MASTER", "STOKER_KEYS_DIR"):
            print(f"  export {name}={shlex.quote(there.environ[name])}")
        print("\nCtrl-C ends it.", flush=True)
        while not over.wait(LOOK_AGAIN):
            if not there.connection.transport.is_active():
                raise Unreachable(f"the ssh connection to {args.host} is lost")
    return 0


def _dashboard(there: Via, stack: contextlib.ExitStack, port: int) -> str:
    """The local address of the leader's dashboard, or why there is none."""
    config = client_config(argparse.Namespace(master=there.url), there.environ)
    with Client(config=config) as client:
        address = urlsplit(client.cluster().webui_url)
    if address.hostname is None or address.port is None:
        return "none: the master has no dashboard"
    try:
        forward = stack.enter_context(Forward(there.connection.transport, address.hostname, address.port, port=port))
    except StokerError as error:
        return f"none: {error}"
    return f"http://127.0.0.1:{forward.port}"


def _port(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise UsageError(f"{option}: {text!r} is not a port: give one from 1 to 65535")
    return int(text)
