"""A job's folder, files, command, environment and output on this worker, and their removal.

Pieces that ``worker.daemon`` calls for each effect of the core. Knows ``devices``, ``groups``, ``keeper``, ``script`` and
``spark`` of its own room; starts no job itself (``keeper`` does).
"""
