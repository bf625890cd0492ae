"""What real Spark clients said: the first frames of a connection, recorded from pyspark 3.5.9, 4.0.5 and 4.3.0."""

from __future__ import annotations

from pathlib import Path

from stoker.gateway.java_stream import JavaObject, parse
from stoker.gateway.spark_rpc import Envelope, Frame, FrameReader, open_envelope

FOLDER = Path(__file__).parent.parent / "data" / "spark"
VERSIONS = ("3.5", "4.0", "4.3")


def recorded(version: str) -> list[Frame]:
    """[does the endpoint Master exist?, RegisterApplication]"""
    return list(FrameReader().feed((FOLDER / f"register-{version}.bin").read_bytes()))


def registration(version: str) -> tuple[Envelope, JavaObject]:
    envelope = open_envelope(recorded(version)[1].body)
    message = parse(envelope.payload)
    assert isinstance(message, JavaObject)
    return envelope, message
