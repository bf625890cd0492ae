"""Count the words of a real text corpus on the executors of a cluster, and check the result.

    stoker submit --wait examples/wordcount/wordcount.py [FOLDER]

The corpus is every .py file below FOLDER; by default Python's own standard library, some tens of MB of text that every
machine with Python has. The driver registers an application; each of its executors runs this same file, connects back
to the driver, is given files to count until none is left, and sends its counts. At the end the driver counts everything
again by itself, in one process, and compares.

Executors may be on other machines, as long as FOLDER is there too (the standard library is). They talk to the driver
over a socket of ``multiprocessing.connection``, which authenticates both sides with a key made for this run; what
they send is JSON.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import secrets
import socket
import sys
import sysconfig
import threading
import time
from collections import Counter
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

WORD = re.compile(r"[A-Za-z_]\w+")
BATCH = 40  # files handed out at once
WAIT = 60.0  # seconds for the first executor


def count(paths: list[str]) -> tuple[Counter[str], int]:
    """The words of these files, and how many bytes they are."""
    words: Counter[str] = Counter()
    size = 0
    for path in paths:
        data = Path(path).read_bytes()
        size += len(data)
        words.update(WORD.findall(data.decode("utf-8", errors="replace")))
    return words, size


def corpus(folder: str) -> list[str]:
    return sorted(
        str(path) for path in Path(folder).rglob("*.py") if path.is_file() and "site-packages" not in path.parts
    )


# --- an executor ------------------------------------------------------------------------------------------------------


def execute(host: str, port: int, name: str) -> None:
    """Count what the driver hands out, until it hands out nothing."""
    key = bytes.fromhex(os.environ["WORDCOUNT_KEY"])
    with Client((host, port), authkey=key) as driver:
        driver.send_bytes(json.dumps({"executor": name}).encode())
        while paths := json.loads(driver.recv_bytes()):
            words, size = count(paths)
            driver.send_bytes(json.dumps({"words": words, "bytes": size, "files": len(paths)}).encode())
        print(f"executor {name} is done")


# --- the driver -------------------------------------------------------------------------------------------------------


class Driver:
    """Hands out the files and merges the counts; a batch whose executor is lost is handed out again."""

    def __init__(self, paths: list[str]) -> None:
        self.todo = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
        self.left = len(self.todo)
        self.words: Counter[str] = Counter()
        self.bytes = 0
        self.files: Counter[str] = Counter()
        self.changed = threading.Condition()

    def serve(self, listener: Listener) -> None:
        while True:
            try:
                connection = listener.accept()
            except OSError:
                return  # closed: all is counted
            except Exception as error:  # an impostor without the key
                print(f"refused a connection: {error}", file=sys.stderr)
                continue
            threading.Thread(target=self.feed, args=(connection,), daemon=True).start()

    def feed(self, executor: Connection) -> None:
        batch: list[str] | None = None
        try:
            name = json.loads(executor.recv_bytes())["executor"]
            while (batch := self.take()) is not None:
                executor.send_bytes(json.dumps(batch).encode())
                result = json.loads(executor.recv_bytes())
                self.merge(name, result)
            executor.send_bytes(b"[]")
        except (EOFError, OSError):
            if batch is not None:
                with self.changed:
                    self.todo.append(batch)
                    self.changed.notify_all()

    def take(self) -> list[str] | None:
        """The next batch; waits while others may still give theirs back."""
        with self.changed:
            while not self.todo and self.left:
                self.changed.wait()
            return self.todo.pop() if self.todo else None

    def merge(self, name: str, result: dict[str, object]) -> None:
        with self.changed:
            self.words.update(result["words"])  # type: ignore[arg-type]
            self.bytes += int(str(result["bytes"]))
            self.files[name] += int(str(result["files"]))
            self.left -= 1
            self.changed.notify_all()

    def wait(self) -> None:
        with self.changed:
            while self.left:
                self.changed.wait()


def drive(folder: str) -> int:
    from stoker.client.application.app import Application
    from stoker.core.model.values import ApplicationDescription, Command
    from stoker.security.keys import Keys

    paths = corpus(folder)
    if not paths:
        print(f"there are no .py files in {folder}", file=sys.stderr)
        return 1
    driver, key = Driver(paths), secrets.token_bytes(32)
    master = os.environ["MASTER"]
    keys = Keys.open(Path(os.environ["STOKER_KEYS_DIR"]), create=None)  # the worker says where they are
    host = _address_towards(master)
    with Listener((host, 0), backlog=64, authkey=key) as listener:
        threading.Thread(target=driver.serve, args=(listener,), daemon=True).start()
        port = listener.address[1]
        command = Command(
            argv=(
                sys.executable,
                os.path.abspath(__file__),
                "--executor",
                host,
                str(port),
                "{{EXECUTOR_ID}}@{{HOSTNAME}}",
            ),
            env={"WORDCOUNT_KEY": key.hex()},
        )
        description = ApplicationDescription(
            name="wordcount", user=getpass.getuser(), command=command, cores_per_executor=1, memory_mib=256
        )
        started = time.monotonic()
        with Application(master, description, keys=keys) as app:
            app.wait_for_executors(1, timeout=WAIT)
            driver.wait()
        spread = time.monotonic() - started
    started = time.monotonic()
    plain, size = count(paths)
    alone = time.monotonic() - started
    print(f"corpus      {folder}: {len(paths)} files, {size / 1e6:.1f} MB, {sum(plain.values()):,} words")
    print(f"executors   {', '.join(f'{name} ({files} files)' for name, files in sorted(driver.files.items()))}")
    print(f"time        {spread:.2f} s on the cluster, {alone:.2f} s in one process")
    print("top words   " + ", ".join(f"{word} {number:,}" for word, number in driver.words.most_common(8)))
    if driver.words != plain or driver.bytes != size:
        print("the cluster's counts differ from those of one process", file=sys.stderr)
        return 1
    print("check       the counts are those of one process")
    return 0


def _address_towards(master: str) -> str:
    """This machine's address as the cluster sees it."""
    host, _, port = master.removeprefix("spark://").split(",")[0].rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=10) as probe:
        address: str = probe.getsockname()[0]
    return address


if __name__ == "__main__":
    if sys.argv[1:2] == ["--executor"]:
        execute(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(drive(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("stdlib")))
