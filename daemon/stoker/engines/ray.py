"""Ray on an application's executors: the head beside the driver, one Ray node in each executor.

Every connection needs a token made for this application; executors get it in their environment. Ray's connections are not
encrypted. A guard stops the head's processes when the driver has ended, for any reason: Ray does that, too, but some of its
agents take a minute to notice.
"""

from __future__ import annotations

import _thread
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import ray
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from stoker.core.model.values import Command
from stoker.engines.base import Grants, Resources
from stoker.engines.python import python_command
from stoker.errors import ConfigError, Refused

MIB = 2**20
STORE_SHARE = 0.3  # of an executor's memory, for Ray's object store: as Ray's own default
LEAST_STORE_MIB = 80  # Ray refuses less
GUARD = Path(__file__).with_name("guard.py")
GUARD_TIMEOUT = 20.0  # seconds; it takes ten at most
POLL = 0.05  # seconds between looks for the first node

# Sockets of Ray must have short paths, so a node cannot live in the executor's directory. This shell ends after it and
# removes what it leaves; what a shell left that was killed itself is removed by the next (its lock is free then).
NODE = (
    'for old in /tmp/stoker-ray-node-*; do [ -O "$old" ] && flock -n "$old" rm -rf "$old"; done;'
    ' d=$(mktemp -d /tmp/stoker-ray-node-XXXXXX) || exit; exec 9<"$d"; flock -s 9; trap : TERM INT;'
    ' "$@" --temp-dir="$d" & p=$!; wait $p; code=$?;'
    ' while kill -0 $p 2>/dev/null; do wait $p; code=$?; done; rm -rf "$d"; exit $code'
)


class RayEngine:
    """The head, and the driver's connection to it. Raises Refused and ConfigError."""

    label = "Ray"
    cores: int | None = None  # a node is six processes: one on each worker is enough
    ui_url = ""

    def __init__(self, resources: Resources, *, on_worker: Callable[[], None]) -> None:
        if ray.is_initialized():
            raise Refused("this program is already connected to another Ray: call ray.shutdown() first")
        if resources.dynamic:
            raise ConfigError(
                "Ray does not support spark.dynamicAllocation.enabled: set spark.cores.max, or use app.dask()"
            )
        self.ray: ModuleType = ray
        self._resources = resources
        self._on_worker = on_worker
        self._is_closed = threading.Event()
        self._environ = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SCHEDULER_EVENTS": "0",  # its advice is about an autoscaler, which is not used here
        }
        self._before = {name: os.environ.get(name) for name in self._environ}
        self._folder = tempfile.mkdtemp(prefix="stoker-ray-head-", dir="/tmp")  # paths of sockets must be short
        mark = ("STOKER_RAY", secrets.token_hex(16))
        self._guard = GuardProcess("=".join(mark), Path(self._folder))
        _use_environment(self._environ)
        try:
            os.environ.update([mark])  # for Ray's processes, not for those the program starts later
            ray.init(
                num_cpus=0,
                num_gpus=0,  # those of the driver's machine are not the application's
                _memory=MIB,  # what asks for memory belongs on a node
                include_dashboard=False,
                object_store_memory=self._store_mib * MIB,
                logging_level="warning",
                _node_ip_address=resources.host,
                _temp_dir=self._folder,
                runtime_env=self._modules(),
            )
        except Exception as error:
            self.close()
            raise Refused(f"Ray's head does not start: {' '.join(str(error).split())}") from None
        finally:
            del os.environ[mark[0]]
        self.address: str = ray.get_runtime_context().gcs_address

    @property
    def _store_mib(self) -> int:
        return max(int(self._resources.memory_mib * STORE_SHARE), LEAST_STORE_MIB)

    def _modules(self) -> dict[str, str]:
        """The py-files in one folder, which Ray sends to its nodes and puts on their path."""
        if not self._resources.py_files:
            return {}
        folder = Path(self._folder) / "py-files"
        folder.mkdir()
        for path in self._resources.py_files:
            if path.suffix == ".py":
                shutil.copy(path, folder)
            else:
                shutil.unpack_archive(path, folder, "zip")
        return {"working_dir": str(folder)}

    def command(self) -> Command:
        others = self._resources.engine_resources
        gpus = others.pop("GPU", 0)  # without a number, Ray would offer every GPU that it finds
        named = (f"--num-gpus={gpus}", *([f"--resources={json.dumps(others)}"] if others else []))
        node = python_command(
            *("start", f"--address={self.address}", "--block", "--num-cpus={{CORES}}"),
            *named,
            f"--memory={self._resources.memory_mib * MIB}",
            f"--object-store-memory={self._store_mib * MIB}",
            *("--disable-usage-stats", "--log-color=false"),
            python=self._resources.python,
            package="ray",
            version=ray.__version__,
            module="ray.scripts.scripts",
        )
        return Command(argv=("/bin/sh", "-c", NODE, "ray-node", *node), env={**self._environ, **self._resources.env})

    def attach(self, grants: Grants) -> None:
        threading.Thread(target=self._find_node, name="stoker-ray", daemon=True).start()

    def _find_node(self) -> None:
        """Ray does not report its nodes: poll for the first one."""
        while not self._is_closed.wait(POLL):
            if ray.cluster_resources().get("CPU", 0) > 0:
                self._on_worker()
                return

    def fail(self, reason: str) -> None:
        """Interrupt the main thread: Ray would wait for new nodes indefinitely."""
        if not self._is_closed.is_set():
            _thread.interrupt_main()

    def close(self) -> None:
        if self._is_closed.is_set():
            return
        self._is_closed.set()
        ray.shutdown()
        _use_environment(self._before)
        self._guard.close()


class GuardProcess:
    """``guard.py`` in a process of its own, for processes with ``mark`` (``NAME=VALUE``) in their environment."""

    def __init__(self, mark: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), mark, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """Return when all of these processes have ended."""
        self._process.communicate(b"\n", timeout=GUARD_TIMEOUT)


def _use_environment(values: Mapping[str, str | None]) -> None:
    """Set these variables, or remove them. Ray read them when it was imported, and has to again, the token last."""
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
