"""Limits that keep one client from starving the others (docs/security.md, "Limits"). All are settings of masters."""

from __future__ import annotations

from dataclasses import dataclass

from stoker.config.sources import Settings

PREFIX = "spark.stoker.limits."


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bytes, or how many at a time. An owner is a principal, or a connection that has none."""

    name: int = 1024  # bytes of a name
    description: int = 256 * 1024  # bytes of a submission: arguments, environment, properties
    message: int = 4 * 2**20  # bytes of a client's message
    queued: int = 64 * 2**20  # bytes sent to a client that it has not received
    uploads: int = 100  # open uploads of an owner
    upload_bytes: int = 50 * 2**30  # of all uploads together
    log_questions: int = 2000  # of an owner that wait for output
    searches: int = 20  # of an owner that wait for a worker
    watches: int = 10_000  # drivers that a connection watches


def limits(settings: Settings) -> Limits:
    get = settings.get
    return Limits(
        name=get("spark.stoker.limits.name"),
        description=get("spark.stoker.limits.description"),
        message=get("spark.stoker.limits.message"),
        queued=get("spark.stoker.limits.queued"),
        uploads=get("spark.stoker.limits.uploads"),
        upload_bytes=get("spark.stoker.limits.uploadBytes"),
        log_questions=get("spark.stoker.limits.logQuestions"),
        searches=get("spark.stoker.limits.searches"),
        watches=get("spark.stoker.limits.watches"),
    )
