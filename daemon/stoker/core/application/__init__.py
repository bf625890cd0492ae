"""An application's decisions: registration, its executors, its open calls, and fail-over to another master.

Knows ``core.model`` and ``core.peer``. The shell around it is ``client.application``.
"""
