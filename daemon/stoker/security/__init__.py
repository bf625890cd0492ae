"""Keys, tokens and roles: they identify peers and users, and define what each may do. Private files are read and
written here.

Knows ``core.model``. Sockets and pages ask this room; it opens no connection itself.
"""
