"""The commands: names, modules and summaries."""

from __future__ import annotations

import os

# command -> (module, what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "master": ("stoker.master.command", "run a master"),
    "worker": ("stoker.worker.command", "run a worker"),
    "submit": ("stoker.client.commands.submit", "run a program in the cluster"),
    "launch": ("stoker.client.commands.launch", "run a program, with the options of Spark's first client"),
    "kill": ("stoker.client.commands.kill", "stop drivers and applications"),
    "hold": ("stoker.client.commands.hold", "keep drivers from starting, and applications from getting executors"),
    "release": ("stoker.client.commands.release", "let held drivers and applications go on"),
    "update": ("stoker.client.commands.update", "change the pool, priority or time limit of jobs"),
    "run": ("stoker.client.commands.run", "run a command on executors of the cluster"),
    "shell": ("stoker.client.commands.shell", "start an interactive Python with executors of the cluster"),
    "status": ("stoker.client.commands.status", "show the cluster, a driver, an application or a worker"),
    "explain": ("stoker.client.commands.explain", "explain why a driver or an application waits, and what would help"),
    "what-if": (
        "stoker.client.commands.what_if",
        "when what waits would start, also with other workers, jobs or pools",
    ),
    "pools": ("stoker.client.commands.pools", "show the pools: their parts, their limits, and what waits in them"),
    "logs": ("stoker.client.commands.logs", "show what a driver or an executor wrote"),
    "drain": ("stoker.client.commands.drain", "place no new work on workers, and on request wait until they are idle"),
    "undrain": ("stoker.client.commands.undrain", "place work on drained workers again"),
    "forget": ("stoker.client.commands.forget", "remove workers that will not come back from the master's list"),
    "tunnel": ("stoker.via.tunnel", "reach a cluster's dashboard and master through ssh"),
    "relay": ("stoker.via.relay", "the remote half of --via and tunnel, which start it"),
    "token": ("stoker.client.commands.token", "create and revoke tokens for dashboards and the HTTP interfaces"),
    "keys": ("stoker.client.commands.keys", "make and show the keys of this machine"),
    "config": ("stoker.config.check", "check configuration files, or show every setting that counts here"),
    "doctor": ("stoker.client.commands.doctor", "look for what is wrong with this machine or the cluster"),
    "help": ("stoker.cli.help", "explain a command or a topic"),
    "completion": ("stoker.cli.completion", "print tab completion for bash, zsh or fish"),
}

# These write nothing that a user waits for on standard output, and may be started without one.
DAEMONS = frozenset({"master", "worker", "relay"})


def runnable() -> list[str]:
    """The commands of this platform: daemons need Linux, and the doctor, who looks at owners and modes, Unix."""
    missing = set() if hasattr(os, "sched_getaffinity") else set(DAEMONS)
    if not hasattr(os, "geteuid"):
        missing.add("doctor")
    return [name for name in COMMANDS if name not in missing]


def usage() -> str:
    """The text of ``stoker --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: stoker [--via [USER@]HOST] COMMAND [OPTIONS]",
            "       stoker --help | --version",
            "",
            *lines,
            "",
            "--via runs a command on a cluster that is reached through ssh. 'stoker COMMAND --help' explains a command,",
            "'stoker help' lists further topics.",
        ]
    )
