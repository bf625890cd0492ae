"""Prometheus metrics of the cluster and of a worker, with Spark's names beside ours."""
