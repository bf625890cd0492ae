"""The master's decisions: registration, drivers, applications, executors, draining, recovery.

``machine`` receives every event and calls the rule for it; ``books`` holds all state; ``schedule`` places waiting jobs.
Knows ``core.model``. Words: docs/glossary.md (grant, share, finite, dying, drain, epoch).
"""
