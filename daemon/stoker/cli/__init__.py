"""The command line: ``stoker COMMAND``.

``commands`` names every command and the module that holds it, ``entry`` runs the chosen one, ``parser`` reads its options,
``streams`` looks after standard input and output, ``topics``, ``completion`` and ``manual`` explain the commands. A command
is a module with ``add_arguments(parser)`` and ``run(args, environ)``; it is imported only when it is asked for, so that a
submission does not wait for Flask.
"""

from stoker.cli.entry import main

__all__ = ["main"]
