"""A real sshd on loopback, run by the user who runs the tests, with a home folder whose ssh configuration leads to it."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.cluster import free_port
from tests.support.wait import wait_until

_PROGRAM = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclass
class Sshd:
    """``with Sshd(folder, environ) as sshd``: logins see ``environ``. In the home ``folder`` four ssh names lead to the
    server. ``cluster`` has a key that the server accepts, ``stranger`` a key that it does not. For ``unknown`` the host
    key is not known, for ``changed`` another one is known."""

    home: Path
    environ: dict[str, str]
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not Path(_PROGRAM).exists() or shutil.which("ssh-keygen") is None:
            if os.environ.get("CI") == "true":
                pytest.fail("no sshd: scripts/test-needs installs it")
            pytest.skip("no sshd: sudo apt-get install openssh-server")
        self.port = free_port()
        self.folder = self.home / ".ssh"
        self.folder.mkdir(mode=0o700)
        for name in ("host", "id", "stranger", "other"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.folder / name)]
            subprocess.run(command, check=True)
        (self.folder / "accepted").write_text((self.folder / "id.pub").read_text())
        self._write_known_hosts()
        self._write_client_configuration()
        self._write_server_configuration()

    def _write_known_hosts(self) -> None:
        for name, key in (("known_hosts", "host"), ("known_others", "other")):
            public = " ".join((self.folder / f"{key}.pub").read_text().split()[:2])
            (self.folder / name).write_text(f"[127.0.0.1]:{self.port} {public}\n")

    def _write_client_configuration(self) -> None:
        hosts = {
            "cluster": ("id", "known_hosts"),
            "stranger": ("stranger", "known_hosts"),
            "unknown": ("id", "known_nobody"),
            "changed": ("id", "known_others"),
        }
        lines = []
        for name, (key, known) in hosts.items():
            lines += [f"Host {name}", "  HostName 127.0.0.1", f"  Port {self.port}", f"  User {getpass.getuser()}"]
            lines += [f"  IdentityFile {self.folder / key}", f"  UserKnownHostsFile {self.folder / known}"]
        lines += ["Host nobody", "  HostName 127.0.0.1", f"  Port {free_port()}", ""]
        (self.folder / "config").write_text("\n".join(lines))

    def _write_server_configuration(self) -> None:
        environ = " ".join(f'"{name}={value}"' for name, value in self.environ.items())
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder / 'host'}",
            f"AuthorizedKeysFile {self.folder / 'accepted'}",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UsePAM no",
            "StrictModes no",
            "PermitRootLogin yes",
            f"PidFile {self.folder / 'pid'}",
            f"SetEnv {environ}",
            *self.options,
        ]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")

    def __enter__(self) -> Sshd:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # for privilege separation; otherwise made at boot
        self.start()
        return self

    def start(self) -> None:
        with (self.home / "sshd.log").open("ab") as log:
            command = [_PROGRAM, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            process = self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(lambda: (self.folder / "pid").exists() or process.poll() is not None, what="sshd listens")
        assert process.poll() is None, (self.home / "sshd.log").read_text()

    def cut(self) -> None:
        """Stop it with all its connections, like a cable that is cut."""
        assert self.process is not None
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in [str(pid), *children]:
            os.kill(int(process), signal.SIGKILL)
        self.process.wait(10)

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.cut()
