"""Which workers get new jobs. A worker is usable when it is connected and nothing speaks against it.

Reasons against a worker: an operator drains it (``draining``), the worker reports that its host is not well (``unfit``: disk,
health, refusals), or it has just refused a job (``refusals``). May know ``core.model`` and the master's books and context.
"""
