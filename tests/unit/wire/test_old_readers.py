"""Release 0.1.0 itself reads what this release writes with its newest values: it must reject none of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from stoker.core.model import records
from stoker.recovery.records import encode_record
from tests.support.releases import source_of
from tests.support.wire_examples import RECORDS, example

_READ = """
import json, sys
import stoker
from stoker.recovery.records import decode_record
assert stoker.__file__.startswith(sys.argv[1]), stoker.__file__
for key, body in json.load(sys.stdin).items():
    found = decode_record(key, bytes.fromhex(body))
    app = getattr(found, "description", None)
    print(key, type(found).__name__, app.spark.auth if hasattr(app, "spark") else "")
"""


def test_records_with_a_spark_client_that_encrypts_by_gcm(tmp_path: Path) -> None:
    old = source_of("0.1.0", tmp_path)
    written = {key: encode_record(example(kind)).hex() for key, kind in RECORDS.items()}
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(old)],
        env={**os.environ, "PYTHONPATH": str(old)}, input=json.dumps(written), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    key = records.app_key("app-20260101000000-0001")
    assert f"{key} AppRecord crypto2" in done.stdout.splitlines()
    assert len(done.stdout.splitlines()) == len(RECORDS)
