"""The status of a cluster of any size, in messages of a limited size: how a master cuts it into pages, and how a client joins
them. It knows the views and the messages."""
