"""Peers one release apart: an older one does not know the newest optional fields, a newer one sends unknown ones."""

from __future__ import annotations

import msgspec

from tests.simulation.network import Process

# Message -> fields that the release before did not have. Only fields with a default may be here (docs/protocol.md).
ADDED_LAST = {
    "RegisterWorker": {"version", "webui_url", "drain", "heir_of", "lost", "resources", "unfit", "seal", "limits"},
    "WorkerHeartbeat": {"keeper_release", "unfit", "users_fault"},
    "RegisteredWorker": {"webui_url", "masters", "seal"},
    "RegisteredApplication": {"masters"},
    "SubmitDriver": {"watch"},
    "KillJob": {"door"},
    "HoldJob": {"door"},
    "UpdateJob": {"door"},
    "LaunchDriver": {"principal", "seal", "resources"},
    "LaunchExecutor": {"principal", "seal", "resources"},
}
# Values inside messages, likewise.
ADDED_TO_VALUES = {
    "driver": {"array", "time_limit", "hold", "after", "after_end", "max_disk_mib"},
    "app": {"time_limit", "max_disk_mib"},
    "exit": {"expired", "oom", "peak_mib", "cpu_seconds", "over_disk"},
}
FROM_THE_FUTURE = {"colour_of_the_next_release": [1, {"a": None}]}


class Skew:
    """``old`` and ``new`` are names of processes of the release before and after."""

    def __init__(self) -> None:
        self.old: set[str] = set()
        self.new: set[str] = set()

    def rewrite(self, sender: Process, frames: list[bytes]) -> list[bytes]:
        if sender.name not in self.old and sender.name not in self.new:
            return frames
        header, body = frames
        message = msgspec.msgpack.decode(body)
        if sender.name in self.new:
            message.update(FROM_THE_FUTURE)
        else:
            for name in ADDED_LAST.get(message["type"], ()):
                message.pop(name, None)
            for value, names in ADDED_TO_VALUES.items():
                if isinstance(message.get(value), dict):
                    for name in names:
                        message[value].pop(name, None)
        return [header, msgspec.msgpack.encode(message)]
