"""The sockets of the cluster and their events: import them from here."""

from stoker.io.link import Closed, Link, Opened
from stoker.io.server import Garbage, Incoming, PeerGone, Server

__all__ = ["Closed", "Garbage", "Incoming", "Link", "Opened", "PeerGone", "Server"]
