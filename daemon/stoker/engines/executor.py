"""How a granted executor becomes a process: ``{{...}}`` filled in, in arguments and environment values (spec 4)."""

from __future__ import annotations

from collections.abc import Mapping

from stoker.core.model.values import ApplicationDescription
from stoker.engines.launch import Launch, fill


def executor_launch(
    app: ApplicationDescription, substitutions: Mapping[str, str], *, environ: Mapping[str, str], master_url: str
) -> Launch:
    """``environ`` is what it inherits; ``substitutions`` are EXECUTOR_ID, CORES, HOSTNAME, APP_ID, WORKER_URL and
    RESOURCE_PROFILE_ID."""
    env = {**environ, "MASTER": master_url}
    env.update({name: fill(value, substitutions) for name, value in app.command.env.items()})
    return Launch([fill(word, substitutions) for word in app.command.argv], env)
