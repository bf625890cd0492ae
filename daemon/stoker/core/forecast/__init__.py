"""What would start when: a snapshot of the cluster, played forward in virtual time through the master's own decisions.

``rebuild`` makes a master's core from a snapshot, ``lengths`` says how long each job will probably run, ``play`` moves the
time from one end of a job to the next, ``compare`` does that with the cluster as it is and with changes. Nothing here is
sent or recorded. Knows ``core.model`` and ``core.master``, which does not know it.
"""
