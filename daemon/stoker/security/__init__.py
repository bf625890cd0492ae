"""Keys, tokens and roles: who somebody is and what the role permits. Private files are read and written here.

Knows ``core.model``. Sockets and pages ask this room; it opens no connection itself.
"""
