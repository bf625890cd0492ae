"""The worker daemon: sockets, the keeper, files and logs around ``core.worker``.

``keeper`` owns the processes and outlives the daemon, ``jobs`` prepares folders, files and commands, ``spark`` makes
Spark's executors start faster. May know every room but ``master``, ``client`` and ``via``.
"""
