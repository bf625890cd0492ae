"""Dashboards, JSON, metrics and REST: Flask on immutable views of ``core.model``.

Asks a daemon through a small interface (``channel``); knows neither daemon nor the machines of ``core``.
"""
