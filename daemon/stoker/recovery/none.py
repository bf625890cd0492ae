"""``spark.deploy.recoveryMode NONE``: nothing survives but what workers and applications report when they come back."""

from __future__ import annotations

from collections.abc import Mapping

from stoker.recovery.base import RecoveryEngine


class NoRecovery(RecoveryEngine):
    is_durable = False

    def commit(self, writes: Mapping[str, bytes | None]) -> None:
        """Nothing is kept."""

    def read(self) -> dict[str, bytes]:
        return {}

    def quarantine(self, key: str, reason: str) -> None:
        """There is nothing to put aside."""

    def close(self) -> None:
        """There is nothing to let go."""
