"""What is wrong with a program's file, where the kernel reports only "Exec format error" or "No such file or directory"."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

_FIRST = 4096  # bytes that are read of the file
_LONGEST_LINE = 255  # bytes of a #! line that Linux reads (binfmt_script)
_MACHINES = {
    0x03: "i686", 0x08: "mips", 0x14: "ppc", 0x15: "ppc64le", 0x16: "s390x", 0x28: "arm", 0x3E: "x86_64", 0xB7: "aarch64",
    0xF3: "riscv64",
}  # fmt: skip
_OTHER_FORMATS = {
    b"MZ": "Windows",
    b"\xcf\xfa\xed\xfe": "macOS",
    b"\xce\xfa\xed\xfe": "macOS",
    b"\xca\xfe\xba\xbe": "macOS",
}
_PT_INTERP = 3


def has_crlf(path: Path) -> bool:
    """Return whether the ``#!`` line of a script ends with CR LF."""
    line = _first_bytes(path).partition(b"\n")[0]
    return line.startswith(b"#!") and line.endswith(b"\r")


def fault_of(path: Path) -> str:
    """Return why the host cannot start this file, and the fix, in words that follow the file's name; "" if it looks well."""
    head = _first_bytes(path)
    if not head:
        return "is empty"
    if head.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte order mark (UTF-8 BOM): save it without one"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is UTF-16 text: save it as UTF-8 without a byte order mark"
    if head.startswith(b"#!"):
        return _fault_of_script(head)
    if head.startswith(b"\x7fELF"):
        return _fault_of_elf(head)
    system = next((name for magic, name in _OTHER_FORMATS.items() if head.startswith(magic)), "")
    return (
        f"is a program for {system}" if system else "is not a program: a script needs a #! line, for example #!/bin/sh"
    )


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_FIRST)
    except OSError:
        return b""


def _fault_of_script(head: bytes) -> str:
    line = head.partition(b"\n")[0]
    if len(line) > _LONGEST_LINE:
        return f"has a #! line of more than {_LONGEST_LINE} bytes: name a shorter path"
    words = line[2:].split()
    if not words:
        return "has a #! line that names no interpreter, such as #!/bin/sh"
    interpreter = os.fsdecode(words[0])
    if not Path(interpreter).exists():
        return f"needs {interpreter} (its #! line), which this host does not have: install it there, or name another"
    if not os.access(interpreter, os.X_OK) or Path(interpreter).is_dir():
        return f"needs {interpreter} (its #! line), which is not executable on this host"
    return ""


def _fault_of_elf(head: bytes) -> str:
    try:
        is_64, order = head[4] == 2, "<" if head[5] == 1 else ">"
        machine = struct.unpack_from(f"{order}H", head, 18)[0]
        if machine != _own_machine():
            name = _MACHINES.get(machine, f"another processor (ELF machine {machine})")
            return f"is a program for {name}; this host is {os.uname().machine}"
        loader = _loader(head, order, is_64)
    except (struct.error, IndexError):
        return "is an incomplete program: copy it again"
    if loader and not Path(loader).exists():
        return f"needs {loader}, which this host does not have: build it for this host's C library"
    return ""


def _own_machine() -> int:
    """Return the ELF number of the machine for which this interpreter was built."""
    return int.from_bytes(_first_bytes(Path("/proc/self/exe"))[18:20], sys.byteorder)


def _loader(head: bytes, order: str, is_64: bool) -> str:
    """Return the path of the dynamic loader that an ELF program names (PT_INTERP); "" for a static one."""
    table = struct.unpack_from(f"{order}Q" if is_64 else f"{order}I", head, 32 if is_64 else 28)[0]
    size, count = struct.unpack_from(f"{order}HH", head, 54 if is_64 else 42)
    for at in range(table, table + size * count, size):
        if struct.unpack_from(f"{order}I", head, at)[0] == _PT_INTERP:
            if is_64:
                offset, length = (struct.unpack_from(f"{order}Q", head, at + place)[0] for place in (8, 32))
            else:
                offset, length = (struct.unpack_from(f"{order}I", head, at + place)[0] for place in (4, 16))
            return os.fsdecode(head[offset : offset + length].rstrip(b"\0"))
    return ""
