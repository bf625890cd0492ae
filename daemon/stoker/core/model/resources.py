"""Named resources, such as GPUs: what a job asks for, and the addresses that a worker offers and a job holds (ADR 24).

``Amounts`` are (name, amount) pairs, ``Addresses`` (name, addresses) pairs; both are in the order of their names, and hold
no name twice. The functions that check them raise ValueError with one line.
"""

# Annotations stay values, as in messages.py.

import re
from collections.abc import Iterable, Mapping

Amounts = tuple[tuple[str, int], ...]
Addresses = tuple[tuple[str, tuple[str, ...]], ...]

GPU = "gpu"
EXECUTORS_VARIABLE = "STOKER_EXECUTOR_RESOURCES"
MOST_ADDRESSES = 4096  # of one resource of one worker
MOST_NAMES = 64
_NAME = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_-])?")
_ADDRESS = re.compile(r"[!-+\--~]{1,256}")  # printable ASCII without space and comma: addresses are listed with commas
_SETTING = re.compile(r"resource\.(.+)\.amount")


def check_name(name: str) -> str:
    """Return the name of a resource. Raises ValueError for a text that cannot be part of a property's name."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} is not the name of a resource: use letters, digits, '_' and '-', for example gpu"
        )
    return name


def check_amounts(amounts: Amounts) -> None:
    """Raise ValueError for amounts below 1 and for names that are invalid, repeated or unsorted."""
    if not amounts:
        return  # as nearly always
    _check_names([name for name, _ in amounts])
    for name, amount in amounts:
        if not 1 <= amount <= MOST_ADDRESSES:
            raise ValueError(f"the amount of {name} must be between 1 and {MOST_ADDRESSES}, not {amount}")


def check_addresses(resources: Addresses) -> None:
    """Raise ValueError for invalid, repeated or far too many addresses, and for names as ``check_amounts``."""
    _check_names([name for name, _ in resources])
    for name, addresses in resources:
        if not 1 <= len(addresses) <= MOST_ADDRESSES:
            raise ValueError(f"{name} must have between 1 and {MOST_ADDRESSES} addresses, not {len(addresses)}")
        for address in addresses:
            if not _ADDRESS.fullmatch(address):
                raise ValueError(
                    f"{address[:80]!r} is not an address of {name}: use 1 to 256 ASCII characters without spaces and commas"
                )
        if len(set(addresses)) != len(addresses):
            twice = next(address for address in addresses if addresses.count(address) > 1)
            raise ValueError(f"{name} has the address {twice!r} twice")


def _check_names(names: list[str]) -> None:
    if len(names) > MOST_NAMES:
        raise ValueError(f"more than {MOST_NAMES} resources")
    for name in names:
        check_name(name)
    if names != sorted(set(names)):
        raise ValueError(f"resources must be in the order of their names, each once: {', '.join(names)}")


def parse_amount(name: str, text: str, *, least: int = 1) -> int:
    """Return an amount as users write it. Raises ValueError for all but whole numbers of at least ``least``."""
    stripped = text.strip()
    amount = int(stripped) if re.fullmatch(r"-?[0-9]{1,9}", stripped) else least - 1
    if not least <= amount <= MOST_ADDRESSES:
        raise ValueError(f"{name} must be a whole number from {least} to {MOST_ADDRESSES}, not {text[:80]!r}")
    return amount


def amounts_in(properties: Mapping[str, str], prefix: str) -> Amounts:
    """Return what ``PREFIX.resource.NAME.amount`` properties ask for; ``prefix`` is ``spark.driver`` or ``spark.executor``.
    An amount of 0 asks for nothing, as in Spark. Raises ValueError for a malformed name or amount."""
    found: dict[str, int] = {}
    for key, text in properties.items():
        match = _SETTING.fullmatch(key.removeprefix(f"{prefix}.")) if key.startswith(f"{prefix}.") else None
        if match is not None:
            found[check_name(match[1])] = parse_amount(key, text, least=0)
    return amounts_of(found)


def listed(amounts: Amounts) -> str:
    """Return ``gpu=1,fpga=2``, as a submission passes the amounts of its executors on in ``EXECUTORS_VARIABLE``."""
    return ",".join(f"{name}={amount}" for name, amount in amounts)


def properties_in(text: str, prefix: str) -> dict[str, str]:
    """Return the ``PREFIX.resource.NAME.amount`` properties of a text that ``listed`` made."""
    found = (part.partition("=") for part in text.split(",") if part.strip())
    return {f"{prefix}.resource.{name.strip()}.amount": amount for name, _, amount in found}


def amounts_of(found: Mapping[str, int]) -> Amounts:
    """Return the amounts above 0, in order."""
    return tuple(sorted((name, amount) for name, amount in found.items() if amount))


def take_lowest(offered: Addresses, is_held: Iterable[tuple[str, str]], amounts: Amounts) -> Addresses:
    """Return the lowest free addresses for ``amounts``; fewer where fewer are free."""
    held = set(is_held)
    of = dict(offered)
    taken = []
    for name, amount in amounts:
        free = [address for address in of.get(name, ()) if (name, address) not in held]
        taken.append((name, tuple(sorted(free, key=address_order)[:amount])))
    return tuple(taken)


def address_order(address: str) -> tuple[bool, int, str]:
    """Sort numbers by value, before other texts."""
    number = int(address) if address.isdecimal() and len(address) < 10 else -1
    return number < 0, number, address


def pairs(resources: Addresses) -> list[tuple[str, str]]:
    """Return each address with the name of its resource."""
    return [(name, address) for name, addresses in resources for address in addresses]


def grouped(held: Iterable[tuple[str, str]]) -> Addresses:
    """Return (name, address) pairs by name, all in order."""
    of: dict[str, list[str]] = {}
    for name, address in held:
        of.setdefault(name, []).append(address)
    return tuple((name, tuple(sorted(of[name], key=address_order))) for name in sorted(of))


def added(amounts: Amounts, more: Amounts) -> Amounts:
    """Return the sums, without those that are 0; amounts may be negative."""
    if not more:
        return amounts
    sums = dict(amounts)
    for name, amount in more:
        sums[name] = sums.get(name, 0) + amount
    return amounts_of(sums)


def times(amounts: Amounts, factor: int) -> Amounts:
    return tuple((name, factor * amount) for name, amount in amounts)


def negative(amounts: Amounts) -> Amounts:
    return times(amounts, -1)


def counted(resources: Addresses) -> Amounts:
    """Return how many addresses there are of each."""
    return tuple((name, len(addresses)) for name, addresses in resources)


def words(amounts: Amounts) -> str:
    """Return the amounts for people: ``2 gpu, 1 fpga``; "" without any."""
    return ", ".join(f"{amount} {name}" for name, amount in amounts)


def address_words(resources: Addresses) -> str:
    """Return the addresses for people: ``gpu 0,1``; "" without any."""
    return "; ".join(f"{name} {','.join(addresses)}" for name, addresses in resources)


def hold(held: dict[tuple[str, str], int], resources: Addresses) -> None:
    """Count one more holder of each address in ``held``: (name, address) -> holders."""
    for pair in pairs(resources):
        held[pair] = held.get(pair, 0) + 1


def release(held: dict[tuple[str, str], int], resources: Addresses) -> None:
    """Take back one ``hold``."""
    for pair in pairs(resources):
        held[pair] -= 1
        if not held[pair]:
            del held[pair]
