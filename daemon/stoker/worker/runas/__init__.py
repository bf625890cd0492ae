"""Which unix account a job runs as, and how the keeper becomes it (ADR 31).

Standard library only: the keeper and its starter import it. It knows no other room.
"""
