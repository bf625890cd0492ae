"""Spark's REST submission protocol (port 6066)."""
