"""``stoker release ID...``: let held drivers start, and held applications get executors again."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from stoker.client.commands.hold import add_names, for_each


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_names(parser, "release")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return for_each(args, environ, lambda client, job_id: client.release(job_id))
