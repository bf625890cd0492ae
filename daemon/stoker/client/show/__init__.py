"""Views as text tables and as JSON. Pure: text comes out, nothing is printed.

Knows ``core.model``, nothing of its own room.
"""
