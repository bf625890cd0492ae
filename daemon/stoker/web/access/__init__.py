"""Who is asking, what they may, and the record of what they did (docs/security.md)."""
