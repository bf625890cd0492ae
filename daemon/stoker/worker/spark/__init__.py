"""Archives and unpacked views that make Spark's executors start faster (ADR 16, ADR 19); made in the background.

Without them an executor starts as well, later. Knows ``keeper`` of its own room, which runs the programs that make them.
"""
