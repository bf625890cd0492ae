"""Which job runs on which worker: one scheduling pass over waiting jobs, and the reason why a job still waits.

``placement`` decides on plain offers and demands (ADR 2), ``queue`` orders the drivers that wait, ``run`` is one pass
over the books, ``explain`` gives the reason why a job waits. Knows ``core.model`` and the master's books.
"""
