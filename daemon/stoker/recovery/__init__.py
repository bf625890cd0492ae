"""What survives a master: the recovery engines NONE, FILESYSTEM and ZOOKEEPER behind one interface (``base``).

Knows ``core`` and ``io.zookeeper``. Every engine passes the same contract suite (tests/contract).
"""
