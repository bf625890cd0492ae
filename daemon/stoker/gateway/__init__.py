"""Unmodified Spark clients on the master's port: Spark's RPC, Java serialization and authentication (ADR 9).

Translates Spark's messages to the master's and back. Knows ``core.model``, ``io`` and ``security``; instantiates nothing
from a stream.
"""
