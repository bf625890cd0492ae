"""An application in this process: its connection, its executors, and engines (Dask, pools, Ray) on them.

The shell around ``core.application``.
"""
