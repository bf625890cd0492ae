"""The commands on a real cluster: real daemons, real programs."""
