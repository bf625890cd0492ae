"""Everything on the submitter's side. From the bottom to the top:

``session``      a conversation with whichever master leads
``logs``         reading and following output
``submit``       from a program and its options to a submitted driver
``api``          ``Client``: all of this for programs
``application``  programs that have executors of their own
``show``         views as tables and as JSON
``commands``     the command line

Each folder may know those above it in this list, never one below (tests/unit/test_imports.py).
"""
