"""Notify the daemon's starter that it is ready (the sd_notify protocol: systemd's Type=notify, and the playbooks'
launcher)."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send e.g. ``READY=1`` to $NOTIFY_SOCKET, if it is set. A starter that has exited is ignored."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    deployment = os.environ.get("STOKER_DEPLOYMENT")
    if deployment and "STATUS=" in state:  # by this the playbooks see what a running daemon was started with
        state += f" (deployment {deployment})"
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
        try:
            client.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            return
