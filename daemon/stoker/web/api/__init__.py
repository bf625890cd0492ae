"""``/api/v1``: all of the cluster for programs. Described by ``/api/v1/openapi.json``, made from what is declared here."""
