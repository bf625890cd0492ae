"""Survey the Python source below a folder on the executors of a cluster: functions, classes, the names that are used most.

    stoker submit --wait examples/survey/survey.py [FOLDER]

FOLDER is Python's own standard library by default, which every machine with Python has: 11 to 13 MB. Each file is parsed.
That takes time and needs nothing of the other files, so the work is spread over all cores. The driver registers an
application. Each of its executors runs this same file, connects back to the driver, receives files until none is left, and
sends what it has found. At the end the driver surveys some of the files again by itself, and compares.

Executors may be on other machines, as long as FOLDER is there too (the standard library is). They talk to the driver
over a socket of ``multiprocessing.connection``, which authenticates both sides with a key made for this run; what
they send is JSON.
"""

from __future__ import annotations

import ast
import getpass
import json
import os
import random
import secrets
import socket
import sys
import sysconfig
import threading
import time
import warnings
from collections import Counter
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

BATCH = 10  # files handed out at once
CHECKED = 3  # batches that the driver surveys again
WAIT = 60.0  # seconds for the first executor
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def survey(paths: list[str]) -> Counter[str]:
    """Count ``files``, ``bytes``, ``functions``, ``classes``, and as ``name NAME`` how often each name is read."""
    found: Counter[str] = Counter()
    for path in paths:
        data = Path(path).read_bytes()
        found["files"] += 1
        found["bytes"] += len(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of old escapes in the source
                tree = ast.parse(data)
        except (SyntaxError, ValueError):  # a test of Python's own parser has such files
            found["unreadable files"] += 1
            continue
        for node in ast.walk(tree):
            found["functions"] += isinstance(node, FUNCTIONS)
            found["classes"] += isinstance(node, ast.ClassDef)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found[f"name {node.id}"] += 1
    return found


def sources(folder: str) -> list[str]:
    """All but packages that were installed there, and tests."""
    left_out = {"site-packages", "dist-packages", "test", "tests"}
    found = (path for path in Path(folder).rglob("*.py") if not left_out & {*path.relative_to(folder).parts})
    return sorted(str(path) for path in found if path.is_file())


# --- an executor ------------------------------------------------------------------------------------------------------


def execute(host: str, port: int, name: str) -> None:
    """Survey what the driver hands out, until it hands out nothing."""
    key = bytes.fromhex(os.environ["SURVEY_KEY"])
    with Client((host, port), authkey=key) as driver:
        driver.send_bytes(json.dumps({"executor": name}).encode())
        while paths := json.loads(driver.recv_bytes()):
            found = survey(paths)
            driver.send_bytes(json.dumps({"found": found, "cpu": time.process_time()}).encode())
        print(f"executor {name} is done")


# --- the driver -------------------------------------------------------------------------------------------------------


class Driver:
    """Hands out the files and adds up what is found; a batch whose executor is lost is handed out again."""

    def __init__(self, paths: list[str]) -> None:
        self.todo = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
        self.checked = random.Random(1).sample(self.todo, min(CHECKED, len(self.todo)))
        self.left = len(self.todo)
        self.found: Counter[str] = Counter()
        self.of: dict[str, Counter[str]] = {}  # by the first file of a batch
        self.files: Counter[str] = Counter()  # by executor
        self.cpu: dict[str, float] = {}  # seconds of an executor, its start included
        self.changed = threading.Condition()

    def serve(self, listener: Listener) -> None:
        while True:
            try:
                connection = listener.accept()
            except OSError:
                return  # closed: all is done
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
                self.merge(name, batch, json.loads(executor.recv_bytes()))
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

    def merge(self, name: str, batch: list[str], result: dict[str, Any]) -> None:
        with self.changed:
            found = Counter[str](result["found"])
            self.found += found
            if batch in self.checked:
                self.of[batch[0]] = found
            self.files[name] += len(batch)
            self.cpu[name] = result["cpu"]
            self.left -= 1
            self.changed.notify_all()

    def wait(self) -> None:
        with self.changed:
            while self.left:
                self.changed.wait()


def drive(folder: str) -> int:
    from stoker import Application, ApplicationDescription, Command, Keys

    paths = sources(folder)
    if not paths:
        print(f"there are no .py files in {folder}", file=sys.stderr)
        return 1
    driver, key = Driver(paths), secrets.token_bytes(32)
    master = os.environ["MASTER"]
    keys = Keys.open(Path(os.environ["STOKER_KEYS_DIR"]), create=None)  # the worker says where they are
    host = _address_towards(master)
    started = time.monotonic()
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
            env={"SURVEY_KEY": key.hex()},
        )
        description = ApplicationDescription(
            name="survey", user=getpass.getuser(), command=command, cores_per_executor=1, memory_mib=256
        )
        with Application(master, description, keys=keys) as app:
            app.wait_for_executors(1, timeout=WAIT)
            driver.wait()
    return report(folder, driver, time.monotonic() - started)


def report(folder: str, driver: Driver, seconds: float) -> int:
    """Print what was found; the exit code."""
    found, work = driver.found, sum(driver.cpu.values())
    print(f"source      {folder}: {found['files']} files, {found['bytes'] / 1e6:.1f} MB")
    print(f"found       {found['functions']:,} functions, {found['classes']:,} classes")
    names = Counter({key[5:]: number for key, number in found.items() if key.startswith("name ")})
    print("most used   " + ", ".join(f"{name} {number:,}" for name, number in names.most_common(8)))
    print(f"executors   {', '.join(f'{name} ({files} files)' for name, files in sorted(driver.files.items()))}")
    busy = "" if work > seconds else "; other programs use the cores, too"
    print(f"time        {seconds:.1f} s for {work:.1f} s of work: {work / seconds:.1f} times as fast as one core{busy}")
    if any(survey(batch) != driver.of[batch[0]] for batch in driver.checked):
        print("the cluster has found something else than this process finds", file=sys.stderr)
        return 1
    print(f"check       {sum(map(len, driver.checked))} files again in this process: the same")
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
