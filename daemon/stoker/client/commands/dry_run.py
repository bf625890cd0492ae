"""``--dry-run`` of submit and run: what the job would get now. Nothing is submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stoker.client.notices import deliver, local_times
from stoker.core.model.values import ApplicationDescription, DriverDescription

if TYPE_CHECKING:
    from stoker.client.api import Client

HELP = (
    "submit nothing; say whether it would start now (exit code 0), would wait (3), or can never run here (4), and why"
)
_CODES = {"now": 0, "wait": 3, "never": 4}
_WORDS = {"now": "it would start now", "wait": "it would wait", "never": "it can never run here as it is"}


def dry_run(client: Client, job: DriverDescription | ApplicationDescription) -> int:
    """Print the master's answer; return the exit code. Raises Refused where the submission would be refused."""
    from stoker.client.show import table as text  # noqa: PLC0415 - submit and run import this module for HELP

    found = client.dry_run(job)
    lines = [_WORDS[found.verdict]]
    if found.needs:
        lines.append(f"needs {found.needs}")
    for title, reasons in (("refused", found.refusals), ("ahead", found.ahead), ("would help", found.helps)):
        lines += [f"{title}: {reason}" for reason in reasons]
    deliver("\n  ".join(text.clean(local_times(line), 400) for line in lines), deed="nothing is submitted")
    return _CODES[found.verdict]
