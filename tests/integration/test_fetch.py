"""Files of drivers by URL, from real servers: HTTP, and S3 as moto speaks it. A failure is reported in one line."""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import BotoCoreError

from tests.support.cluster import Cluster, free_port
from tests.support.wait import wait_until

SETUP_CALLS = 5  # to S3 until it asks for true credentials
SCRIPT = b"#!/bin/sh\ncat data.txt\n"


class Store:
    """An S3 server with one bucket that one user may read."""

    def __init__(self, home: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = (home / "moto.log").open("wb")
        host, port = self.url.removeprefix("http://").split(":")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", host, "-p", port],
            env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(SETUP_CALLS)},
            stdout=self._log,
            stderr=self._log,
        )
        wait_until(lambda: "Running on" in (home / "moto.log").read_text(), within=60, what="S3 listens")
        options = {
            "endpoint_url": self.url,
            "region_name": "us-east-1",
            "aws_access_key_id": "first",
            "aws_secret_access_key": "first",
        }
        s3, iam = boto3.client("s3", **options), boto3.client("iam", **options)
        s3.create_bucket(Bucket="jobs")
        s3.put_object(Bucket="jobs", Key="bin/show.sh", Body=SCRIPT)
        iam.create_user(UserName="ada")
        iam.put_user_policy(
            UserName="ada",
            PolicyName="read",
            PolicyDocument='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}',
        )
        key = iam.create_access_key(UserName="ada")["AccessKey"]
        self.credentials = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    try:
        store = Store(tmp_path_factory.mktemp("s3"))
    except BotoCoreError as error:
        pytest.fail(f"S3 cannot be set up: {error}")
    yield store
    store.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Iterator[Cluster]:
    """spark-env on the worker exports the address of S3 and its key."""
    home = tmp_path_factory.mktemp("fetch")
    (home / "conf").mkdir()
    exports = {**store.credentials, "AWS_ENDPOINT_URL": store.url, "AWS_DEFAULT_REGION": "us-east-1"}
    (home / "conf" / "spark-env").write_text("".join(f"export {name}={value}\n" for name, value in exports.items()))
    with Cluster(home) as running:
        yield running


class Broken(http.server.BaseHTTPRequestHandler):
    """Sends less than it announced, or asks for a password."""

    def do_HEAD(self) -> None:
        self.answer(b"")

    def do_GET(self) -> None:
        self.answer(b"half")

    def answer(self, body: bytes) -> None:
        self.send_response(401 if "secret" in self.path else 200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def broken() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_a_program_from_s3(cluster: Cluster, scheme: str) -> None:
    data = cluster.script("data.txt", "from here\n")
    done = cluster.cli("submit", "--wait", "--files", data, f"{scheme}://jobs/bin/show.sh")
    assert (done.returncode, done.stdout) == (0, "from here\n"), done.stderr


@pytest.mark.parametrize(
    ("options", "url", "reason"),
    [
        ((), "s3://jobs/bin/none.sh", "there is no such file"),
        ((), "s3://nobodys/show.sh", "bucket does not exist"),
        (("--env", "AWS_ACCESS_KEY_ID=AKIAFALSE"), "s3://jobs/bin/show.sh", "credentials"),
        (("--env", "AWS_ENDPOINT_URL=http://127.0.0.1:1"), "s3://jobs/bin/show.sh", "[Cc]onnect"),
        ((), "http://127.0.0.1:1/show.sh", "[Cc]onnect"),
        ((), "BROKEN/show.sh", "not completed|incomplete|[Cc]ontent"),
        ((), "BROKEN/secret.sh", "401"),
        ((), "http://no-such-host.invalid/show.sh", "no-such-host.invalid"),
        ((), "hdfs://127.0.0.1:1/show.sh", "[Cc]onnect"),
        ((), "webhdfs://127.0.0.1:1/show.sh", "[Cc]onnect"),
    ],
)
def test_what_cannot_be_had(cluster: Cluster, broken: str, options: tuple[str, ...], url: str, reason: str) -> None:
    url = url.replace("BROKEN", broken)
    done = cluster.cli("submit", "--wait", *options, url)
    assert done.returncode == 1
    failed = next(driver for driver in cluster.status()["completed_drivers"] if driver["id"] in done.stderr)
    assert failed["state"] == "ERROR"
    assert re.search(f"cannot fetch {re.escape(url)}: .*({reason})", done.stderr), done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 2
    folder = cluster.work / failed["id"]
    assert not [path.name for path in folder.iterdir() if path.name.endswith((".sh", ".part"))], "nothing half is left"
