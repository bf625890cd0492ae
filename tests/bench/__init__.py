"""Measurements, run by ``make bench``; docs/performance.md has the results."""
