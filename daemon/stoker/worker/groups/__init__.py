"""Limits and accounts of jobs: control groups v2 where the worker has a tree of its own, else /proc (ADR 29).

``tree`` finds and takes the worker's tree, ``group`` is one job's group, ``usage`` measures a job without a group. Knows
nothing of its own room; standard library only, because the keeper uses it.
"""
