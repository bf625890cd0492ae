"""Measurements, by ``make bench``; what they say is in docs/performance.md."""
