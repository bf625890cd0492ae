"""Arrays: one program, submitted once for many indices (``--array``, ADR 28). A *task* is the program at one index.

``indices`` reads what was typed, ``ids`` splits the ids of tasks.
"""
