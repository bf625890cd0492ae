"""Stoker: Spark-standalone clusters in Python, run by Ansible."""

__version__ = "0.1.0"
