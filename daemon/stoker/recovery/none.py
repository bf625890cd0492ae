"""``spark.deploy.recoveryMode NONE``: no records; workers and applications report their state when they come back."""

from __future__ import annotations

from collections.abc import Mapping

from stoker.recovery.base import RecoveryEngine


class NoRecovery(RecoveryEngine):
    is_durable = False

    def commit(self, writes: Mapping[str, bytes | None]) -> None:
        """Do nothing."""

    def read(self) -> dict[str, bytes]:
        return {}

    def quarantine(self, key: str, reason: str) -> None:
        """Do nothing: there are no records to put aside."""

    def close(self) -> None:
        """Do nothing: there is no store to release."""
