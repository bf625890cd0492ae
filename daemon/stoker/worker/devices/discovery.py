"""Which named resources this machine has: from ``spark.worker.resourcesFile``, else from discovery scripts, else from
``nvidia-smi`` and ``rocm-smi`` (spec 15.8). Every problem stops the start of the worker with one line."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from stoker.config.resources import ResourceSetting, ResourceSettings
from stoker.core.model.resources import GPU, Addresses, check_addresses
from stoker.errors import ConfigError
from stoker.worker.devices.cards import find_gpus
from stoker.worker.script import ScriptFailed, output_of

LOG = logging.getLogger("stoker.worker")
COMPONENT = "spark.worker"  # whose entries of the file count


def discover(settings: ResourceSettings, environ: Mapping[str, str]) -> Addresses:
    """Return the addresses that the worker offers. Raises ConfigError when there are fewer than the settings say, or when
    what a file or a script says is malformed."""
    found = _from_file(settings.file) if settings.file is not None else {}
    for wanted in settings.wanted:
        if wanted.name not in found and (wanted.script or wanted.name != GPU or not settings.looks_for_gpus):
            found[wanted.name] = _from_script(wanted, settings.timeout, environ)
    if settings.looks_for_gpus and GPU not in found:
        gpus = find_gpus(environ, settings.timeout)
        found |= {GPU: gpus} if gpus or any(wanted.name == GPU for wanted in settings.wanted) else {}
    for wanted in settings.wanted:
        found[wanted.name] = _as_many(wanted, found[wanted.name])
    return tuple(sorted(found.items()))


def _as_many(wanted: ResourceSetting, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first ``amount`` addresses, as Spark does. Raises ConfigError if there are fewer."""
    if len(addresses) < wanted.amount:
        raise ConfigError(
            f"spark.worker.resource.{wanted.name}.amount is {wanted.amount}, and this machine has {len(addresses)}"
            f" ({', '.join(addresses) or 'none'}): lower it, or correct the source of the addresses"
        )
    if len(addresses) > wanted.amount:
        LOG.info("offering %d of %d %s", wanted.amount, len(addresses), wanted.name)
    return addresses[: wanted.amount]


def _from_file(path: Path) -> dict[str, tuple[str, ...]]:
    where = f"spark.worker.resourcesFile {path}"
    form = '[{"id": {"componentName": "spark.worker", "resourceName": "gpu"}, "addresses": ["0", "1"]}]'
    try:
        entries = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{where} is not JSON: write it like {form}") from None
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries if isinstance(entries, list) else [None]:
        identity = entry.get("id") if isinstance(entry, dict) else None
        name = identity.get("resourceName") if isinstance(identity, dict) else None
        if not isinstance(entry, dict) or not isinstance(identity, dict) or not isinstance(name, str):
            raise ConfigError(f"{where} is malformed: write it like {form}")
        if identity.get("componentName") != COMPONENT:
            continue
        if name in found:
            raise ConfigError(f"{where} has two entries for {name[:80]!r}")
        found[name] = _checked(where, name, entry.get("addresses"))
    return found


def _from_script(wanted: ResourceSetting, timeout: float, environ: Mapping[str, str]) -> tuple[str, ...]:
    key = f"spark.worker.resource.{wanted.name}.discoveryScript"
    if not wanted.script:
        fix = f"set {key} or spark.worker.resourcesFile"
        raise ConfigError(f"nothing says which addresses of {wanted.name} this machine has: {fix}")
    where = f"{key} {wanted.script}"
    try:
        text = output_of([wanted.script], timeout=timeout, environ=environ)
    except ScriptFailed as error:
        raise ConfigError(f"{where} {error}") from None
    form = f'it must print {{"name": "{wanted.name}", "addresses": ["0", "1"]}}'
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError(f"{where} printed {_short(text)}: {form}") from None
    if not isinstance(answer, dict) or answer.get("name") != wanted.name:
        raise ConfigError(f"{where} printed {_short(text)}: {form}")
    return _checked(where, wanted.name, answer.get("addresses"))


def _checked(where: str, name: str, addresses: object) -> tuple[str, ...]:
    if not isinstance(addresses, list) or not all(isinstance(address, str) for address in addresses):
        raise ConfigError(f"{where} has no list of addresses of {name[:80]!r}, which are texts: ['0', '1']")
    try:
        if addresses:
            check_addresses(((name, tuple(addresses)),))
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    return tuple(addresses)


def _short(text: bytes) -> str:
    return repr(text[:80].decode(errors="replace").strip()) if text.strip() else "nothing"
