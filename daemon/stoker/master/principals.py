"""Name the principals of records that release 0.1.0 wrote: they have the key, or the token's id, that submitted the job."""

from __future__ import annotations

from collections.abc import Iterable

from stoker.core.model.records import AppRecord, DriverRecord, Record
from stoker.errors import ConfigError
from stoker.security.authorizer import Authorizer
from stoker.security.tokens import TokenFile

_TOKEN = "token:"  # noqa: S105 - how 0.1.0 marked what a token submitted


def name_principals(records: Iterable[Record], authorizer: Authorizer | None, tokens: TokenFile) -> None:
    """Set the principal of each driver and application that has none. What was submitted with a key or a token that no longer
    exists, or without proof, belongs to admins (ADR 22)."""
    unnamed = [
        record for record in records if isinstance(record, (DriverRecord, AppRecord)) and record.principal is None
    ]
    token_names = _token_names(tokens) if any(record.owner.startswith(_TOKEN) for record in unnamed) else {}
    for record in unnamed:
        known = authorizer.lookup(record.owner) if authorizer is not None else None
        record.principal = known[1] if known is not None else token_names.get(record.owner, "")


def _token_names(tokens: TokenFile) -> dict[str, str]:
    try:
        return {f"{_TOKEN}{token.id}": token.name for token in tokens.read()}
    except ConfigError:  # logged where tokens are used
        return {}
