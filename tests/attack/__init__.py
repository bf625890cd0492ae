"""One test for each known hole, by the role of the attacker, and generators of hostile input by seed (docs/security.md)."""
