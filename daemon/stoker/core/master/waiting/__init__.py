"""What a job waits for besides room, and for how long it may run: time limits, hold and release, changes, the ends of
other drivers, dry runs.

Rules over the books, used by the drivers' and the executors'.
"""
