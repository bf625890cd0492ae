"""A client's connection to the cluster: questions in, answers out, over fail-overs. Knows ``core``, ``io`` and ``wire``."""
