"""Fuzzers: whatever bytes a parser of Stoker gets, it ends with a value or with its own error, within 100 ms of CPU, and
the process does not grow. Everything follows from a seed. ``make fuzz MINUTES=30`` is the long run, ``test_fuzz`` a short
one.

May use everything of ``stoker`` and ``tests.support``.
"""
