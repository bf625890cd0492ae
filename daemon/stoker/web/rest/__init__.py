"""Spark's REST submission protocol (port 6066), byte for byte as Spark's own server answers it (docs/spec).

Knows ``access`` and ``jackson`` of its own room: requests pass the same guard as those of the pages, and JSON is coerced
and printed as Spark does.
"""
