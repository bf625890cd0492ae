"""``/api/v1``: JSON for programs, described by OpenAPI."""
