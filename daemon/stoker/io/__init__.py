"""Input and output: ZeroMQ sockets, the poller, timers, durable writes, downloads, ZooKeeper's client.

Every ZeroMQ socket is made here. Knows ``core.model``, ``wire`` and ``security``; decides nothing about jobs.
"""
