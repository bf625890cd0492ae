"""The master daemon: sockets, recovery engine, election and dashboards around ``core.master``.

``lifecycle`` runs standby and leader in turn; ``daemon`` is the leader's loop. May know every room except ``worker``,
``client`` and ``via``.
"""
