"""Images of test hosts, made from Debian packages; no image registry is needed.

A host has systemd, sshd and Python. A bare image has only what README requires.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from tests.support.podman import exclusively, podman, run

BASE = ("python3", "systemd-sysv", "dbus", "openssh-server", "iproute2", "procps", "sudo")
BARE = ("git", "make", "python3")
FLAVOURS: dict[str, tuple[str, tuple[str, ...]]] = {  # name: Debian release, packages beyond BASE
    "bookworm": ("bookworm", ("default-jre-headless", "libzookeeper-java")),
    "trixie": ("trixie", ("default-jre-headless", "libzookeeper-java", "prometheus")),
}
_CUSTOMIZE = Path(__file__).with_name("host-image")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def image(flavour: str) -> str:
    """Return the image's name; build the image if podman does not have it (half a minute). Raises KeyError, PodmanError."""
    release, extra = FLAVOURS[flavour]
    packages = ",".join(BASE + extra)
    digest = hashlib.sha256(f"{release} {packages} {_CUSTOMIZE.read_text()}".encode()).hexdigest()[:12]
    name = f"localhost/stoker-test-host:{flavour}-{digest}"
    return _built(name, release, packages, [f"--customize-hook={_CUSTOMIZE}"])


def bare_image(release: str) -> str:
    """Return the name of a minimal Debian with git, make and python3 only. Raises PodmanError."""
    return _built(f"localhost/stoker-test-bare:{release}-{'-'.join(BARE)}", release, ",".join(BARE), [])


def _built(name: str, release: str, packages: str, hooks: list[str]) -> str:
    with exclusively("image"):
        if run("podman", "image", "exists", name, check=False).returncode != 0:
            _build(name, release, packages, hooks)
    return name


def _build(name: str, release: str, packages: str, hooks: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="stoker-image-") as folder:
        Path(folder).chmod(0o755)  # apt reads it as another user
        archive = str(Path(folder) / "rootfs.tar")
        quick = ["force-unsafe-io", "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*"]
        run(
            "mmdebstrap", "--variant=minbase", f"--include={packages}", f"--keyring={_KEYRING}",
            *[f"--dpkgopt={option}" for option in quick], *hooks,
            '--setup-hook=mkdir -p "$1/usr/share/man/man1"',  # Java packages link manual pages there
            release, archive, *_mirror(), timeout=900,
        )  # fmt: skip
        podman("import", archive, name, timeout=300)


def _mirror() -> list[str]:
    """Return the source of this machine's apt for Debian; without one, mmdebstrap uses its default."""
    said = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages").stdout
    return [line.split()[2] for line in said.splitlines() if line.startswith("Debian Debian ")][:1]
