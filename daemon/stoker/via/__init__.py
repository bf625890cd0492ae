"""A cluster that only ssh reaches: the tunnel on this side, the relay on the other (ADR 7).

Knows ``client``, ``config``, ``core.model``, ``wire``, ``io`` and ``security``.
"""
