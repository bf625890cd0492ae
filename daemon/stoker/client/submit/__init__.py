"""From a program and its options to a submitted driver: sources, uploads, submission, and waiting for its end.

Knows ``session`` and ``logs``; prints nothing itself.
"""
