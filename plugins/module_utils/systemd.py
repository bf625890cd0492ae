# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Daemons as units of the system's manager (M(stoker.spark.stoker_daemon))."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

TAIL = 10  # lines of the journal shown on failure
UNITS = "/etc/systemd/system"
_PLAIN = re.compile(r"[\w@+=:,./-]+")
_CONTROL = re.compile(r"[\x01-\x1f\x7f]")


class Systemd:
    """What ``background.Background`` is where systemd is. ``module`` is the AnsibleModule, which any failure ends."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self._jobs: dict[str, subprocess.Popen[bytes]] = {}

    def names(self, kind: str) -> list[str]:
        found = glob.glob(f"{UNITS}/stoker-{kind}*.service")
        return [os.path.basename(path)[len("stoker-") : -len(".service")] for path in found]

    def prepare(self, daemons: list[dict[str, Any]]) -> list[str]:
        """Write the units that differ, and have them start at boot; the names of those daemons."""
        changed = [daemon for daemon in daemons if self.differs(daemon)]
        if changed and not self.module.check_mode:
            for daemon in changed:
                path = f"{UNITS}/{_unit(daemon['name'])}"
                with open(f"{path}.new", "w", encoding="utf-8") as file:
                    file.write(daemon["unit"])
                os.chmod(f"{path}.new", 0o644)
                os.rename(f"{path}.new", path)
            # Which has systemd read all units again.
            self._systemctl("enable", "--quiet", *(_unit(daemon["name"]) for daemon in changed))
        return [daemon["name"] for daemon in changed]

    def differs(self, daemon: dict[str, Any]) -> bool:
        """Whether the daemon has another unit than it should have."""
        return self._text(daemon["name"]) != str(daemon["unit"])

    def _text(self, name: str) -> str:
        try:
            with open(f"{UNITS}/{_unit(name)}", encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except OSError:
            return ""

    def look(self, name: str) -> tuple[int, str]:
        """(pid of the running daemon, its deployment); 0 if it does not run. The daemon tells its deployment with its status
        (stoker.io.notify)."""
        shown = self._show(name)
        pid = int(shown.get("MainPID") or 0) if shown.get("ActiveState") in ("active", "reloading") else 0
        found = re.search(r"\(deployment (\w+)\)", shown.get("StatusText", ""))
        return pid, found[1] if found else ""

    def begin(self, daemon: dict[str, Any]) -> None:
        """Start it; ``is_ready`` says when it is."""
        self._begin("start", daemon["name"])

    def begin_again(self, daemon: dict[str, Any]) -> None:
        self._begin("restart", daemon["name"])

    def _begin(self, verb: str, name: str) -> None:
        """``systemctl`` ends when the daemon says that it is ready, or has ended: no need to ask again and again."""
        self._systemctl("reset-failed", _unit(name), check=False)
        self._jobs[name] = subprocess.Popen(
            ["systemctl", verb, _unit(name)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def is_ready(self, name: str) -> bool:
        if self._jobs[name].poll() is None:
            return False
        shown = self._show(name)
        if shown.get("ActiveState") != "active":
            self.fail(name, f"{name} exited at once with code {shown.get('ExecMainStatus')}")
        return True

    def stop(self, name: str, signal_name: str) -> None:
        """With the signal that its unit names."""
        self._systemctl("stop", _unit(name))
        if name not in [daemon["name"] for daemon in self.params["daemons"]]:
            self._systemctl("disable", "--quiet", _unit(name), check=False)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{UNITS}/{_unit(name)}")
            self._systemctl("daemon-reload")

    def _show(self, name: str) -> dict[str, str]:
        wanted = "ActiveState,MainPID,ExecMainStatus,StatusText"
        out = self._systemctl("show", "--property", wanted, _unit(name))
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    def _systemctl(self, *words: str, check: bool = True) -> str:
        code, out, err = self.module.run_command(["systemctl", *words])
        if code != 0 and check:
            self.module.fail_json(msg=f"systemctl {' '.join(words)}: {err.strip() or out.strip()}")
        return str(out)

    def fail(self, name: str, what: str) -> None:
        for job in self._jobs.values():
            job.terminate()  # who waits; what systemd does, it goes on doing
        words = ["journalctl", "--unit", _unit(name), "--lines", str(TAIL), "--output", "cat", "--no-pager"]
        _, out, _ = self.module.run_command(words)
        lines = out.splitlines()
        log = "\n".join(lines) or "(nothing)"
        self.module.fail_json(msg=f"{what}. Its last lines in the journal:\n{log}", log_lines=lines)


def command_line(words: list[str]) -> str:
    """Return the value of an ``ExecStart=``: systemd expands ``%x`` and ``$X`` and unescapes, in single quotes, too. Empty
    for a daemon whose unit has a command of its own."""
    program, arguments = words[:1], words[1:]
    return " ".join([*map(_word, program), *(_word(word).replace("$", "$$") for word in arguments)])


def _word(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", escaped) + '"'


def _unit(name: str) -> str:
    return f"stoker-{name}.service"
