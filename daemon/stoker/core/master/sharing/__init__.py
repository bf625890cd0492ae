"""Who gets how much: the use of each pool and principal, the order between them, and their limits (ADR 25).

``accounts`` counts what runs now and what ran in the past, ``turns`` orders by it, ``limits`` says what a pool does not
permit, ``admission`` finds the pool of a submission and who may submit to it, ``reserving`` prepares the reservations of a
pass (ADR 30). Knows ``core.model``; the books charge the accounts, and ``core.master.schedule`` asks for order and limits.
"""
