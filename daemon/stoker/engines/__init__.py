"""How a driver or a granted executor becomes a command line and an environment; Dask and Ray on executors (ADR 14).

Knows ``core.model``.
"""
