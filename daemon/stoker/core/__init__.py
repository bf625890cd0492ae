"""Decisions, as pure state machines: the master's, the worker's and the application's.

An event and the time go in, effects come out. Nothing in this room performs I/O, reads a clock, starts a thread or rolls
dice, so the same code runs in production and in the simulator (docs/architecture.md, ADR 1).

``model`` is the vocabulary. ``peer`` is one side of a conversation with the masters. ``master``, ``worker`` and
``application`` are the three machines; they know ``model`` and ``peer`` and never each other.
"""
