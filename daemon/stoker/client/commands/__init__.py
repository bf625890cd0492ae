"""One module per command of ``stoker``: ``add_arguments(parser)`` and ``run(args, environ)`` (``cli`` loads them)."""
