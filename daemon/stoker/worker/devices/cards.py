"""Which GPUs the drivers of this machine's cards know: ``nvidia-smi`` and ``rocm-smi``."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping

from stoker.worker.script import ScriptFailed, output_of

LOG = logging.getLogger("stoker.worker")
_NVIDIA = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")
_ROCM = ("rocm-smi", "--showid", "--json")


def find_gpus(environ: Mapping[str, str], timeout: float) -> tuple[str, ...]:
    """Return the numbers of the cards; none without a tool that finds some. A tool that fails is logged."""
    for argv, read in ((_NVIDIA, _nvidia), (_ROCM, _rocm)):
        program = shutil.which(argv[0], path=environ.get("PATH"))
        if program is None:
            continue
        try:
            gpus = read(output_of([program, *argv[1:]], timeout=timeout, environ=environ).decode(errors="replace"))
        except ScriptFailed as error:
            LOG.warning("%s %s: no GPU is offered by it", program, error)
            continue
        if gpus:
            return gpus
    return ()


def _nvidia(text: str) -> tuple[str, ...]:
    """Read one number a line; anything else, such as "No devices were found", names no card."""
    return tuple(line.strip() for line in text.splitlines() if line.strip().isdecimal())


def _rocm(text: str) -> tuple[str, ...]:
    """Read ``{"card0": {...}, "card1": {...}}``."""
    try:
        cards = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    numbers = (
        (name.removeprefix("card") for name in cards if name.startswith("card")) if isinstance(cards, dict) else ()
    )
    return tuple(number for number in numbers if number.isdecimal())
