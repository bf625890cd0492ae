"""Everything on the submitter's side: ``Client`` here, the commands in ``commands``."""

from stoker.client.api import Client

__all__ = ["Client"]
