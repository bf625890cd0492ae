"""A service that the cluster keeps alive: it tells the time over HTTP, and how often it has been started.

    stoker submit --supervise --driver-memory 64m examples/service/clock.py [PORT]
    stoker logs driver-...                        # says where it listens
    curl http://HOST:PORT/

When it fails, or its worker does, it is started again, perhaps elsewhere, under the same id; `stoker kill` ends it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Clock(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        told = {"time": time.time(), "id": os.environ["STOKER_DRIVER_ID"], "attempt": int(os.environ["STOKER_ATTEMPT"])}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    # On loopback: what a service shows to the network is its own to decide and to guard.
    with ThreadingHTTPServer(("127.0.0.1", port), Clock) as server:
        # TERM comes from `stoker kill`: requests under way are answered.
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"listening on http://127.0.0.1:{server.server_port}/ on {socket.gethostname()}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
