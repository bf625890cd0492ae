"""``/api/v1``: JSON for programs, described by OpenAPI, and its stream of events.

``model`` has the shapes of questions and answers, ``routes`` the operations; the page ``/api/`` is made from both.
"""
