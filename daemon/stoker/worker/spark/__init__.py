"""Archives and unpacked views that make Spark's executors start faster (ADR 16, ADR 19); made in the background."""
