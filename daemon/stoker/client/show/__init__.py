"""Views as text tables and as JSON. Pure: text comes out, nothing is printed."""
