#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Pack the logs and the configuration of a host's Stoker daemons, without secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_logs
short_description: Pack the logs and the configuration of a host's Stoker daemons, without secrets
description:
  - Makes a tarball with the ends of the daemons' log files, their part of the journal, their units, spark-env,
    spark-defaults.conf and pools.yml. Values of settings whose names suggest secrets are left out; keys and the
    output of jobs are not read.
options:
  dest:
    description: Where the tarball goes.
    type: path
    required: true
  log_dir:
    description: Folder of the daemons' log files.
    type: path
    required: true
  conf_dir:
    description: Where configuration is.
    type: path
    required: true
  since:
    description: How far back the journal is read, in the form of C(journalctl --since).
    type: str
    default: 24 hours ago
  max_bytes:
    description: Bytes taken from the end of a log.
    type: int
    default: 10485760
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Pack the logs
  stoker.spark.stoker_logs:
    dest: /tmp/logs.tar.gz
    log_dir: /var/lib/stoker/log
    conf_dir: /etc/stoker
"""

RETURN = r"""
files:
  description: Names of the files in the tarball.
  type: list
  elements: str
  returned: success
"""

import errno
import glob
import io
import os
import pwd
import re
import stat
import tarfile

from ansible.module_utils.basic import AnsibleModule

UNITS = "/etc/systemd/system"
SECRET = re.compile(r"secret|passw|token|credential|private|access.?key|api.?key", re.IGNORECASE)
OPTION = re.compile(rf"(-D[\w.\-]*(?:{SECRET.pattern})[\w.\-]*=)\S+", re.IGNORECASE)


def redacted(text: str) -> str:
    """NAME=VALUE and NAME VALUE lines, without the values of names, or of -D options in values, that speak of secrets."""
    lines = []
    for line in text.splitlines():
        name = re.match(r"\s*(?:export\s+)?([\w.\-]+)\s*[=:\s]", line)
        if name and SECRET.search(name[1]):
            lines.append(f"{line[: name.end()]}(left out)")
        else:
            lines.append(OPTION.sub(r"\1(left out)", line))
    return "\n".join(lines) + "\n"


def _tail(path: str, limit: int) -> bytes:
    """Return the end of a file; nothing of a link, which may lead to a file that its owner must not read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return b"(left out: a symbolic link)\n"
        raise
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return b"(left out: not a regular file, or one with several names)\n"
        file.seek(max(0, status.st_size - limit))
        return file.read(limit)


def _collect(module: AnsibleModule) -> dict[str, bytes]:
    params, found = module.params, {}
    limit = params["max_bytes"]
    for path in sorted(glob.glob(os.path.join(glob.escape(params["log_dir"]), "stoker-*.log*"))):
        found[f"log/{os.path.basename(path)}"] = _tail(path, limit)
    for path in sorted(glob.glob(f"{UNITS}/stoker-*.service")):
        unit = os.path.basename(path)
        found[f"units/{unit}"] = redacted(_tail(path, limit).decode(errors="replace")).encode()
        words = [
            "journalctl",
            "--unit",
            unit,
            "--since",
            params["since"],
            "--no-pager",
            "--output",
            "short-iso-precise",
        ]
        code, out, err = module.run_command(words)
        found[f"journal/{unit}.log"] = (out if code == 0 else err).encode()[-limit:]
    for name in ("spark-env", "spark-defaults.conf", "pools.yml", "client"):
        path = os.path.join(params["conf_dir"], name)
        if os.path.isfile(path):
            found[f"conf/{name}"] = redacted(_tail(path, limit).decode(errors="replace")).encode()
    found["processes.txt"] = _processes().encode()
    return found


def _processes() -> str:
    """A line for each process, from the kernel: small hosts have no ``ps``. Arguments, which may be secret, are left out."""
    lines = ["PID PPID USER STATE MEMORY-KB COMMAND"]
    for path in sorted(glob.glob("/proc/[0-9]*/status"), key=lambda path: int(path.split("/")[2])):
        try:
            with open(path, errors="replace") as file:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        except OSError:
            continue  # it has ended
        uid = int(fields["Uid"].split()[0])
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            user = str(uid)
        memory = fields.get("VmRSS", "0").split()[0]
        lines.append(" ".join([fields["Pid"], fields["PPid"], user, fields["State"][0], memory, fields["Name"]]))
    return "\n".join(lines) + "\n"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "log_dir": {"type": "path", "required": True},
            "conf_dir": {"type": "path", "required": True},
            "since": {"type": "str", "default": "24 hours ago"},
            "max_bytes": {"type": "int", "default": 10 * 1024 * 1024},
        },
        supports_check_mode=True,
    )
    try:
        found = _collect(module)
        if not module.check_mode:
            descriptor = os.open(module.params["dest"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
                for name, data in found.items():
                    entry = tarfile.TarInfo(name)
                    entry.size, entry.mode = len(data), 0o600
                    archive.addfile(entry, io.BytesIO(data))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or module.params['dest']}: {error.strerror}")
    module.exit_json(changed=False, files=list(found))


if __name__ == "__main__":
    main()
