"""Which job runs on which worker, as pure functions, and the reason why a job still waits.

``placement`` decides on plain offers and demands (ADR 2), ``queue`` orders waiting drivers, ``reservation`` keeps room for
those that wait too long, ``explain`` gives the reason why a job waits. Knows ``core.model``; ``core.master.schedule`` applies
the decisions to the books.
"""
