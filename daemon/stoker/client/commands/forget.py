"""``stoker forget WORKER...``: remove lost workers from the master's list."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from stoker.client.commands.workers import add_worker_names, change_workers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_worker_names(parser, "forget")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return change_workers(args, environ, lambda client: client.forget(args.workers))
