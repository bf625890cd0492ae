"""The worker's decisions: registration with a master, and which jobs must start, stop, or be reported.

Knows ``core.model`` and ``core.peer``. The shell around it is the folder ``worker`` of the package.
"""
