"""A pytest plugin: writes what happens to each test into the file that ``$STOKER_MUTANTS_REPORT`` names, as lines of JSON.

Lines are ``[what, node id]``; ``what`` is started, passed, failed, skipped or uncollected. Each line is written at once: a
crash of the interpreter leaves the name of the test under way.
"""

from __future__ import annotations

import json
import os

import pytest

VARIABLE = "STOKER_MUTANTS_REPORT"


def _write(what: str, node: str) -> None:
    with open(os.environ[VARIABLE], "a", encoding="utf-8") as file:
        file.write(json.dumps([what, node]) + "\n")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.outcome == "failed":
        _write("uncollected", report.nodeid)
    elif report.outcome == "skipped":
        _write("skipped", report.nodeid)


def pytest_runtest_logstart(nodeid: str) -> None:
    _write("started", nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.outcome != "passed" or report.when == "call":
        _write(report.outcome, report.nodeid)
