"""Which master leads, and with which epoch: alone, or elected by ZooKeeper.

Knows ``core`` and ``io.zookeeper``.
"""
