"""The options that commands share, and a connected client."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence

from stoker.client.api import Client
from stoker.client.notices import say
from stoker.client.session.session import TIMEOUT
from stoker.config.client import ClientConfig, add_client_arguments, client_config
from stoker.config.types import parse_duration, parse_integer, parse_memory, parse_time_limit
from stoker.core.model.pools import POOL_PROPERTY, PRIORITY_PROPERTY
from stoker.core.model.resources import GPU, check_name, parse_amount
from stoker.core.model.states import Role
from stoker.core.model.values import HIGHEST_PRIORITY, Door
from stoker.errors import UsageError


def add_connection_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--master`` and ``--timeout``."""
    add_client_arguments(parser)
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        help=f"how long to wait for a leading master, such as 5s or 2min (default {TIMEOUT:g}s)",
    )


def timeout_of(args: argparse.Namespace) -> float:
    """Return ``--timeout`` in seconds. Raises UsageError."""
    if args.timeout is None:
        return TIMEOUT
    seconds = parse_duration(args.timeout)
    if seconds <= 0:
        raise UsageError("--timeout must be more than 0, e.g. --timeout 20s")
    return seconds


def configured(args: argparse.Namespace, environ: Mapping[str, str]) -> ClientConfig:
    """Return the client's settings, and print their warnings."""
    config = client_config(args, environ)
    for warning in config.warnings:
        say(f"warning: {warning}")
    return config


def connected(args: argparse.Namespace, config: ClientConfig, *, role: Role = Role.CLIENT) -> Client:
    return Client(config=config, role=role, timeout=timeout_of(args), notice=say, door=door())


def door() -> Door:
    """Return how this command was called, for people who ask who killed a job."""
    return "playbook" if os.environ.get("STOKER_DOOR") == "playbook" else "cli"


def add_sharing_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--pool`` and ``--priority``."""
    parser.add_argument(
        "--pool",
        "--queue",
        metavar="NAME",
        help="charge it to this pool (spark.stoker.pool); 'stoker pools' lists them",
    )
    parser.add_argument(
        "--priority", metavar="N", help="within its pool, a higher number goes first (spark.stoker.priority)"
    )


def sharing_conf(args: argparse.Namespace) -> dict[str, str]:
    """Return ``--pool`` and ``--priority`` as properties. Raises UsageError."""
    conf = {}
    if args.pool is not None:
        conf[POOL_PROPERTY] = args.pool
    if args.priority is not None:
        conf[PRIORITY_PROPERTY] = str(whole("--priority", args.priority, -HIGHEST_PRIORITY))
    return conf


def comma_list(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def whole(option: str, text: str | None, least: int = 1) -> int | None:
    """Return a whole number of at least ``least``. Raises UsageError that names the option."""
    try:
        return None if text is None else parse_integer(text, least)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def memory(option: str, text: str | None) -> int | None:
    """Return a memory size in MiB. Raises UsageError that names the option."""
    try:
        return None if text is None else parse_memory(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def add_resource_arguments(parser: argparse.ArgumentParser, of: str, prefix: str) -> None:
    """Add ``--gpus`` and ``--resource``. ``of`` says what needs them, ``prefix`` begins the properties that do the same."""
    parser.add_argument("--gpus", metavar="N", help=f"GPUs of {of} ({prefix}.resource.gpu.amount)")
    parser.add_argument(
        "--resource",
        metavar="NAME=N",
        action="append",
        default=[],
        help=f"a named resource of {of} ({prefix}.resource.NAME.amount); may be repeated",
    )


def named_resources(args: argparse.Namespace, prefix: str) -> dict[str, str]:
    """Return what ``--gpus`` and ``--resource`` ask for, as properties. Raises UsageError that names the option."""
    wanted: dict[str, str] = {} if args.gpus is None else {GPU: args.gpus}
    try:
        if args.gpus is not None:
            parse_amount("--gpus", args.gpus)
        for text in args.resource:
            name, equals, amount = text.partition("=")
            if not equals:
                raise UsageError(f"--resource {text!r} is not NAME=N, for example --resource fpga=1")
            if check_name(name) in wanted:
                raise UsageError(f"--resource {text!r}: {name} is given twice")
            parse_amount(f"--resource {name}", amount)
            wanted[name] = amount
    except ValueError as error:
        raise UsageError(str(error)) from None
    return {f"{prefix}.resource.{name}.amount": amount.strip() for name, amount in wanted.items()}


def time_limit(text: str | None) -> float | None:
    """Return ``--time-limit`` in seconds. Raises UsageError that names the option."""
    try:
        return None if text is None else parse_time_limit(text)
    except UsageError as error:
        raise UsageError(f"--time-limit: {error}") from None


def program_words(words: Sequence[str]) -> list[str]:
    """Return the program and its arguments, without the ``--`` that may separate them from stoker's options."""
    return list(words[1:] if words[:1] == ["--"] else words)
