"""Read ``pools.yml`` strictly (docs/scheduling.md): every fault is one line that names its place and the fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, TypeVar

from stoker.config import types
from stoker.config.spark_env import read_text
from stoker.core.model.limits import disk as words
from stoker.core.model.limits import span
from stoker.core.model.pools import Pool, Pools, Quota
from stoker.core.model.resources import GPU, check_name
from stoker.core.model.values import HIGHEST_PRIORITY, POOL_NAME
from stoker.errors import ConfigError, UsageError, did_you_mean

T = TypeVar("T")

FILE = "pools.yml"
_MOST = 2**31 - 1
_DEEPEST = 50  # nested [ and {
_LEAST_HALF_LIFE = 60.0  # seconds
_SHARED = ("cores", "memory")
_LIMITED = (*_SHARED, "drivers", "queued")
_POOL_KEYS = (
    "weight",
    "min_share",
    "max",
    "max_per_user",
    "max_driver_share",
    "policy",
    "priority",
    "time_limit",
    "max_disk",
    "users",
    "operators",
)


def read_pools(path: Path) -> Pools:
    """Return the pools of the file. Raises ConfigError with the first fault."""
    pools, faults = parse_pools(read_text(path), str(path))
    if pools is None:
        more = f" (and {len(faults) - 1} more: 'stoker config check {path}' lists them)" if len(faults) > 1 else ""
        raise ConfigError(faults[0] + more)
    return pools


def parse_pools(text: str, name: str) -> tuple[Pools | None, list[str]]:
    """Return the pools, or None and a line for each fault. ``name``: of the file, for these lines."""
    import yaml  # noqa: PLC0415 - masters with pools only

    try:
        document = yaml.load(text, _loader(yaml))  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark is not None else name
        return None, [f"{where}: {' '.join(str(getattr(error, 'problem', None) or error).split())}"]
    except RecursionError:
        return None, [f"{name}: it is nested too deeply"]
    reader = _PoolsReader(name)
    pools = reader.whole(document)
    return (None, reader.faults) if reader.faults else (pools, [])


def _loader(yaml: Any) -> Any:
    """Return a SafeLoader that refuses a key that is given twice; of two pools of one name YAML would take the later. It
    also refuses deep nesting, at which the time of PyYAML's scanner grows with the square of the depth."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc, name-defined, unused-ignore]
        def fetch_flow_collection_start(self, kind: Any) -> None:
            if self.flow_level >= _DEEPEST:
                raise yaml.scanner.ScannerError(None, None, f"nested over {_DEEPEST} deep", self.get_mark())
            super().fetch_flow_collection_start(kind)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[Any] = set()
            for key, _ in node.value:
                word = getattr(key, "value", None)
                if isinstance(word, str) and word in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{word} is given twice", key.start_mark)
                seen.add(word if isinstance(word, str) else None)
            return super().construct_mapping(node, deep)

    return Loader


class _PoolsReader:
    """Collects faults instead of ending at the first: whoever edits the file wants all of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.faults: list[str] = []

    def fault(self, where: str, what: str) -> None:
        self.faults.append(f"{self._name}: {where}: {what}" if where else f"{self._name}: {what}")

    def whole(self, document: Any) -> Pools:
        if document is None:
            document = {}
        if not isinstance(document, dict) or not isinstance(document.get("pools"), dict) or not document["pools"]:
            self.fault("", "it names no pools: write 'pools:' and below it at least one, such as 'default: {}'")
            return Pools()
        self.keys("", document, ("pools", "scheduler"))
        pools = {}
        for name, given in document["pools"].items():
            if not isinstance(name, str) or not POOL_NAME.fullmatch(name):
                self.fault("pools", f"{name!r} is not a name: use letters, digits, '.', '-' and '_', at most 63")
                continue
            settings = {} if given is None else given
            if not isinstance(settings, dict):
                self.fault(name, f"{settings!r} is not a list of settings: write '{name}: {{weight: 2}}'")
                continue
            pools[name] = self.pool(name, settings)
        scheduler = self.scheduler(document.get("scheduler"))
        return Pools(pools=pools, is_configured=True, **scheduler)

    def scheduler(self, settings: Any) -> dict[str, Any]:
        if settings is None:
            return {}
        if not isinstance(settings, dict):
            self.fault("scheduler", f"{settings!r} is not a list of settings: write 'scheduler: {{half_life: 1d}}'")
            return {}
        readers: dict[str, Callable[[Any], Any]] = {
            "half_life": _half_life,
            "reserve_after": _reserve_after,
            "reserved_share": _share,
            "shadow": _file,
        }
        self.keys("scheduler", settings, readers)
        defaults = Pools()
        return {
            key: self.parsed("scheduler", settings, key, parse, getattr(defaults, key))
            for key, parse in readers.items()
        }

    def keys(self, where: str, settings: dict[Any, Any], known: Iterable[str]) -> None:
        known = list(known)
        for key in settings:
            if key not in known:
                hint = did_you_mean(str(key), known) or f"use one of {', '.join(known)}"
                self.fault(where, f"unknown setting {str(key)[:40]!r}: {hint}")

    def parsed(self, where: str, settings: dict[Any, Any], key: str, parse: Callable[[Any], T], default: T) -> T:
        if settings.get(key) is None:
            return default
        try:
            return parse(settings[key])
        except UsageError as error:
            self.fault(where, f"{key}: {error}")
            return default

    def pool(self, name: str, settings: dict[Any, Any]) -> Pool:
        self.keys(name, settings, _POOL_KEYS)
        priority = self.part(name, settings, "priority", ("default", "max"))
        default = self.parsed(f"{name}: priority", priority, "default", _priority, 0)
        highest = self.parsed(f"{name}: priority", priority, "max", _priority, max(0, default))
        if default > highest:
            self.fault(name, f"priority: default is {default}, more than max, which is {highest}")
        limit = self.part(name, settings, "time_limit", ("default", "max"))
        longest = self.parsed(f"{name}: time_limit", limit, "max", _time_limit, 0.0)
        usual = self.parsed(f"{name}: time_limit", limit, "default", _time_limit, longest)
        if longest and usual > longest:
            self.fault(name, f"time_limit: default is {span(usual)}, longer than max, which is {span(longest)}")
        disk = self.part(name, settings, "max_disk", ("default", "max"))
        most_disk = self.parsed(f"{name}: max_disk", disk, "max", _disk, 0)
        usual_disk = self.parsed(f"{name}: max_disk", disk, "default", _disk, most_disk)
        if most_disk and usual_disk > most_disk:
            self.fault(name, f"max_disk: default is {words(usual_disk)}, more than max, which is {words(most_disk)}")
        pool = Pool(
            name=name,
            weight=self.parsed(name, settings, "weight", _weight, 1),
            min_share=self.amounts(name, settings, "min_share", _SHARED),
            most=self.amounts(name, settings, "max", _LIMITED),
            most_per_user=self.amounts(name, settings, "max_per_user", _LIMITED),
            max_driver_share=self.parsed(name, settings, "max_driver_share", _share, None),
            policy=self.parsed(name, settings, "policy", _policy, "fair"),
            default_priority=default,
            max_priority=highest,
            users=self.names(name, settings, "users"),
            operators=self.names(name, settings, "operators") or (),
            default_time_limit=usual,
            max_time_limit=longest,
            default_disk_mib=usual_disk,
            max_disk_mib=most_disk,
        )
        for what, least, most in (
            ("cores", pool.min_share.cores, pool.most.cores),
            ("memory", pool.min_share.memory_mib, pool.most.memory_mib),
            *((what, least, dict(pool.most.resources).get(what)) for what, least in pool.min_share.resources),
        ):
            if least is not None and most is not None and least > most:
                self.fault(name, f"max: {what} is less than min_share: {what}: raise max, or lower min_share")
        return pool

    def part(
        self, name: str, settings: dict[Any, Any], key: str, known: Collection[str] | None, example: str = "default"
    ) -> dict[Any, Any]:
        """Return a list of settings inside a pool; with ``known`` None their names are not checked."""
        part = settings.get(key)
        if part is None:
            return {}
        if not isinstance(part, dict):
            self.fault(name, f"{key}: {part!r} is not a list of settings: write '{key}: {{{example}: 4}}'")
            return {}
        if known is not None:
            self.keys(f"{name}: {key}", part, known)
        return part

    def is_resource(self, where: str, name: Any, known: Collection[str]) -> bool:
        """Return whether a key that is not ``known`` can name a resource; if it can only be a slip, it is a fault."""
        if name in known:
            return False
        hint = did_you_mean(str(name), [*known, GPU]) if name != GPU and name not in _LIMITED else None
        try:
            check_name(str(name))
        except ValueError as error:
            hint = str(error)
        if hint or name in _LIMITED:
            others = f"use one of {', '.join(known)}, or the name of a resource such as gpu"
            self.fault(where, f"unknown setting {str(name)[:40]!r}: {hint or others}")
            return False
        return True

    def amounts(self, name: str, settings: dict[Any, Any], key: str, known: Collection[str]) -> Quota:
        """Return the quota; a key that is not ``known`` names a resource of workers, such as gpu."""
        part, where = self.part(name, settings, key, None, example=next(iter(known))), f"{name}: {key}"
        named = {
            what: self.parsed(where, part, what, _count, None) for what in part if self.is_resource(where, what, known)
        }
        return Quota(
            resources=tuple(sorted((what, amount) for what, amount in named.items() if amount is not None)),
            cores=self.parsed(where, part, "cores", _count, None),
            memory_mib=self.parsed(where, part, "memory", _memory, None),
            drivers=self.parsed(where, part, "drivers", _count, None),
            queued=self.parsed(where, part, "queued", _count, None),
        )

    def names(self, name: str, settings: dict[Any, Any], key: str) -> tuple[str, ...] | None:
        found = settings.get(key)
        if found is None:
            return None
        if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
            self.fault(name, f"{key}: {found!r} is not a list of names: write '{key}: [ada, \"team-*\"]'")
            return None
        return tuple(found)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise UsageError(f"{value!r} is not a whole number of at least 0")
    return value


def _weight(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
        raise UsageError(
            f"{value!r} is not a whole number from 1 to 1000000: a pool that is to get nothing has max: cores 0"
        )
    return value


def _priority(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > HIGHEST_PRIORITY:
        raise UsageError(f"{value!r} is not a whole number from {-HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}")
    return value


def _memory(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise UsageError(f"{value!r} is not an amount of memory: write it like 512m or 64g")
    return types.parse_memory(str(value))


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise UsageError(f"{value!r} is not a share: write a number above 0 and up to 1, for example 0.5")
    return float(value)


def _policy(value: Any) -> Any:
    return types.parse_choice(str(value), ("fair", "fifo"))


def _time_limit(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UsageError(f"{value!r} is not a time limit: write it like 8h or 2d")
    return types.parse_time_limit(str(value))


def _half_life(value: Any) -> float:
    seconds = _duration(value)
    if seconds < _LEAST_HALF_LIFE:
        raise UsageError(f"{value!r} is too short: it must be at least 1m")
    return seconds


def _reserve_after(value: Any) -> float:
    return -1.0 if value in (-1, "-1") and not isinstance(value, bool) else _duration(value)


def _disk(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise UsageError(f"{value!r} is not a disk limit: write it like 512m or 20g")
    return types.parse_disk_limit(str(value))


def _duration(value: Any) -> float:
    if isinstance(value, bool) or not re.fullmatch(r"[0-9].*", str(value)):
        raise UsageError(f"{value!r} is not a duration: write it like 12h or 7d")
    return types.parse_duration(str(value))


def _file(given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise UsageError(f"{given!r} is not the name of a file, for example new.yml")
    return given
