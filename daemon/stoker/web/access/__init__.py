"""Who may see and do what over HTTP: tokens, sessions, roles, CSRF, throttling, the audit log (ADR 8).

``guard`` judges each request before any page sees it. Knows ``security``; decides nothing about jobs.
"""
