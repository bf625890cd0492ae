"""Secrets of Spark clients by name (ADR 33): the file ``spark.stoker.gateway.secretsFile``, followed as it changes.

One line a name: ``NAME SECRET`` or ``NAME POOL SECRET``. The name is the principal of whoever knows the secret, the pool that
of its jobs that name none. Only the daemon's user may read the file (0600).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stoker.core.model.principal import GATEWAY
from stoker.core.model.values import POOL_NAME
from stoker.errors import ConfigError
from stoker.security.audit import audit
from stoker.security.files import check_closed, read_text, stamp
from stoker.security.tokens import NAME

SETTING = "spark.stoker.gateway.secretsFile"
FEWEST_CHARACTERS = 16  # of a secret; no number of guesses finds a random one of these
MOST_NAMES = 500  # each attempt to authenticate tries them all
LOOK_INTERVAL = 0.4  # seconds between looks at the file

LOG = logging.getLogger("stoker.gateway")


class SparkSecret(NamedTuple):
    """A line of the file. ``pool`` "": none."""

    name: str
    pool: str
    secret: str


class SparkSecrets:
    """The secrets of the file, without ``common``, the secret of all other Spark clients.

    While running, a file that has become wrong changes nothing: the log and the dashboard have its first fault until it is
    mended. ``by_name`` is replaced at each change. ``look_by`` is when the next look is due (``time.monotonic`` seconds).
    One thread looks; any thread may read. Raises ConfigError when the file is wrong at the start.
    """

    def __init__(self, path: Path, common: str = "") -> None:
        self._path, self._common = path, common
        self._stamp = stamp(path)
        self.by_name: Mapping[str, SparkSecret] = read_secrets(path, common)
        self.fault = ""  # of the file as it is now; "": none
        self.look_by = time.monotonic() + LOOK_INTERVAL

    def look_if_due(self) -> None:
        """Read the file again if it has changed."""
        if time.monotonic() < self.look_by:
            return
        self.look_by = time.monotonic() + LOOK_INTERVAL
        found = stamp(self._path)
        if found == self._stamp:
            return
        self._stamp = found
        try:
            now = read_secrets(self._path, self._common)
        except ConfigError as error:
            self.fault = f"{error}; the names of Spark clients stay as they were"
            LOG.error("%s", self.fault)
            return
        self.fault = ""
        before = self.by_name
        if now != before:
            self.by_name = now
            LOG.info("%s: %d names of Spark clients", self._path, len(now))
            self._record(before)

    def has(self, known: SparkSecret) -> bool:
        """Return whether the name has this secret."""
        now = self.by_name.get(known.name)
        return now is not None and now.secret == known.secret

    def _record(self, before: Mapping[str, SparkSecret]) -> None:
        """Record changes of the file, which does not say who made them."""
        for name in sorted(before.keys() | self.by_name.keys()):
            was, known = before.get(name), self.by_name.get(name)
            if known is None:
                audit("spark-secret-removed", name, who="", door=self._path.name)
            elif was is None or was.secret != known.secret:
                audit(
                    "spark-secret-added" if was is None else "spark-secret-changed", name, who="", door=self._path.name
                )


def read_secrets(path: Path, common: str = "") -> dict[str, SparkSecret]:
    """Return the lines of the file by name. Raises ConfigError with the first fault."""
    check_closed(path, SETTING)
    secrets, faults = parse_secrets(read_text(path), str(path), common)
    if faults:
        more = f" (and {len(faults) - 1} more: 'stoker config check {path}' lists them)" if len(faults) > 1 else ""
        raise ConfigError(faults[0] + more)
    return secrets


def parse_secrets(text: str, file: str, common: str = "") -> tuple[dict[str, SparkSecret], list[str]]:
    """Return the lines by name, and a line for each fault, none of which contains a secret. ``file``: its name for these
    lines; ``common``: a secret that no line may have."""
    found: dict[str, SparkSecret] = {}
    faults: list[str] = []
    owners = {common: "spark.authenticate.secret"} if common else {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        fault = _fault(words, found, owners)
        if fault:
            faults.append(f"{file}:{number}: {fault}")
            continue
        name, secret = words[0], words[-1]
        found[name] = SparkSecret(name, words[1] if len(words) == 3 else "", secret)
        owners[secret] = name
    if len(found) > MOST_NAMES:
        faults.append(f"{file}: {len(found)} names: {MOST_NAMES} are the most")
    return found, faults


def _fault(words: list[str], found: Mapping[str, SparkSecret], owners: Mapping[str, str]) -> str:
    """Return what is wrong with a line; "": nothing."""
    name, secret = words[0], words[-1]
    if len(words) not in (2, 3):
        fault = f"{len(words)} words: write 'NAME SECRET' or 'NAME POOL SECRET'"
    elif not NAME.fullmatch(name):
        fault = "the first word is not a name: use 1 to 64 letters, digits and _ . @ -"
    elif name == GATEWAY:
        fault = f"{name} is the name of those who know spark.authenticate.secret: use another one"
    elif name in found:
        fault = f"{name} has a line already: a name has one secret"
    elif len(words) == 3 and not POOL_NAME.fullmatch(words[1]):
        fault = f"the second word of {name} is not the name of a pool: use letters, digits, '.', '-' and '_'"
    elif len(secret) < FEWEST_CHARACTERS:
        fault = f"the secret of {name} has under {FEWEST_CHARACTERS} characters: 'openssl rand -hex 16' makes one"
    elif secret in owners:
        fault = f"the secret of {name} is that of {owners[secret]}, too: each name needs its own"
    else:
        fault = ""
    return fault
