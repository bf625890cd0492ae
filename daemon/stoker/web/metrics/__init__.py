"""Prometheus metrics of the cluster and of a worker, with Spark's names beside ours.

A metric is computed from views when it is asked for. Knows ``common`` and ``spark_json`` of its own room. What each metric
means, and which alert reads it, is in docs/monitoring.
"""
