"""Secrets in command lines that others read."""

from __future__ import annotations

import pytest

from stoker.core.model.redaction import HIDDEN, redacted


@pytest.mark.parametrize(
    "words",
    [
        ("--password", "hush"),
        ("--db-password=hush and more=1",),
        ("-Dspark.ssl.keyPassword=hush",),
        ("-Dfs.s3a.access.key=hush",),
        ("--conf", "spark.hadoop.fs.s3a.secret.key=hush"),
        ("--token", "-hush"),
        ("--api-key", "hush"),
        ("API_KEY=hush",),
        ("jdbc:postgresql://ada:hush@db/etl",),
        ("https://host/x?id=1&token=hush&b=2",),
    ],
)
def test_a_secret_is_hidden(words: tuple[str, ...]) -> None:
    shown = " ".join(redacted(words))
    assert "hush" not in shown
    assert HIDDEN in shown


def test_everything_else_is_shown() -> None:
    words = ("etl.py", "--date", "2027-01-01", "--mode=fast", "a=b", "https://host/x?id=1", "--", "-v", "--password")
    assert redacted(words) == words
    assert redacted(("--password", "--verbose")) == ("--password", "--verbose")
    assert redacted(("--token", "hush", "in.csv")) == ("--token", HIDDEN, "in.csv")
