"""Output of drivers and executors: read a part, or follow it to the end.

``follower`` is the one reader of output for ``logs -f``, ``submit --wait`` and ``run``. Knows ``session``.
"""
