"""The checks of ``stoker doctor``: this machine, its keys and folders, the network, the cluster.

A check is a function that returns findings; it changes nothing. ``finding`` runs checks side by side, each within a time
limit. May know nothing else of its room: whoever calls it brings the cluster's view.
"""
