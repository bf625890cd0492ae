"""Submissions over HTTP as Spark's clients make them, usually on port 6066 (spec 15.6)."""
