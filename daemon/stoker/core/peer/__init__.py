"""The peer's side of the conversation with the masters: which addresses there are, who leads, when to try again.

Knows ``core.model`` only. Used by everything that talks to a master: workers, applications and clients.
"""
