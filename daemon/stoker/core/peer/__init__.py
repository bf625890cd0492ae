"""The peer's side of the conversation with the masters, of everything that talks to one: workers, applications, clients.

``masters`` has their addresses and when each is tried again, ``requests`` the questions that are open, ``following`` the
links and who leads, ``asking`` a client's machine above it. Knows ``core.model`` only.

A master *serves* a peer when it has registered it or answered its question; a *standby* names the leader instead. A
question is *owed* while the leader in use has not answered it, and *repeated* when the next leader is sent it again. A
*prompt* question is answered by the master itself, at once.
"""
