"""The store for records that survive a master: recovery engines NONE, FILESYSTEM and ZOOKEEPER, one interface (``base``).

Knows ``core`` and ``io.zookeeper``. Every engine passes the same contract suite (tests/contract).
"""
