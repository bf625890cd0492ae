"""Bugs planted in the shells, and the tests that must find them.

The simulator's mutants (``tests/simulation/mutants``) cover the cores. Here are recovery engines, sockets, keys, uploads,
dashboards, the worker's files, the keeper, the gateway, the client, Ansible's plugins and the installation. ``table`` lists
file, change and tests; ``make mutants`` plants each bug in a copy of the tree (``plant``) and runs its tests, one of which
has to fail. ``report`` is the pytest plugin that says which test did what.
"""
