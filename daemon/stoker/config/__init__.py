"""Typed settings of masters, workers and clients (docs/configuration.md).

``client``, ``master`` and ``worker`` have a typed configuration each; ``sources`` reads the settings they are made from,
``registry`` knows every property and variable, ``types`` reads single values. Import each on its own: a command must not
load what only daemons need.
"""
