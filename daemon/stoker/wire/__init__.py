"""Messages to bytes and back (MessagePack). Knows ``core.model``; rejects what is malformed or too large."""
