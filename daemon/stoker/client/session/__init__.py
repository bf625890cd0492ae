"""A client's connection to the cluster: questions in, answers out, over fail-overs.

The shell around ``core.peer.asking``, pumped by its caller. Knows ``core``, ``io`` and ``wire``.
"""
