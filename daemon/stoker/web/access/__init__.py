"""Who may see and do what over HTTP: tokens, sessions, roles, CSRF, throttling, the audit log (ADR 8)."""
