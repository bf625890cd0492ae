"""The process that owns the worker's jobs and outlives the daemon, and the daemon's link to it (ADR 3).

``keeper`` runs as a program of its own on the standard library alone, so an upgrade cannot take its modules away.
"""
