"""Arrays: one submission of many tasks (ADR 28). A task that waits or has ended is a few bytes; while it runs it is a driver.

``tasks`` holds the bytes of one array, and knows nothing of the books. ``booking`` connects arrays to the queue, to their
drivers and to the records. ``requests`` answers clients about tasks, by id or by range; ``show`` makes the views.
"""
