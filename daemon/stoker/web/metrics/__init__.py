"""Metrics: for Prometheus with labels and units, and under the names Spark gives them (spec 15.7)."""
