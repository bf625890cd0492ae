"""``stoker undrain WORKER...``: place work on drained workers again."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from stoker.client.commands.workers import add_worker_names, change_workers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_worker_names(parser, "undrain")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return change_workers(args, environ, lambda client: client.drain(args.workers, False))
