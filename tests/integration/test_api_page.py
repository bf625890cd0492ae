"""Every example of the page /api/, copied and run against a real cluster."""

from __future__ import annotations

import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.web import Page

pytestmark = pytest.mark.cluster


def test_every_example_does_what_it_says(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        driver = cluster.submit("/bin/sleep", "600")
        application = cluster.start_cli("run", "--total-executor-cores", "1", "--", "sleep", "600")
        try:
            cluster.wait_for(driver, "RUNNING")
            base = f"http://127.0.0.1:{cluster.webui_port}"
            with urllib.request.urlopen(f"{base}/api/", timeout=10) as answer:
                page = Page(answer.read().decode())
            answers = {command: ask(command) for command in examples(page)}
        finally:
            application.kill()
            application.communicate()
    assert len(answers) > 20
    wrong = {command: answer for command, answer in answers.items() if answer[0] not in (200, 201, 302)}
    assert wrong == {}, "\n".join(f"{answer[0]} {command}: {answer[1]}" for command, answer in wrong.items())
    assert any(base in command and f"/drivers/{driver}/kill" in command for command in answers), (
        "with a job that exists"
    )


def examples(page: Page) -> list[str]:
    """The commands in the order of the page, what ends a job after what looks at it."""
    found = [code for code in page.codes if code.startswith("curl ")]
    return sorted(found, key=lambda command: "/kill" in command)


def ask(command: str) -> tuple[int, str]:
    """Status and body of what a shell runs."""
    done = subprocess.run(
        ["bash", "-c", command.replace("curl ", "curl -s -w '\\n%{http_code}' --max-time 10 ", 1)],
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    body, _, status = done.stdout.decode(errors="replace").rpartition("\n")
    return int(status), body[:200] + done.stderr.decode()
