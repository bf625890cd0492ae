"""Output of drivers and executors: read a part, or follow it to the end."""
