"""Rules for the whole suite. Under CI=true nothing may be skipped: a test that cannot run there is a failure."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.zookeeper import HOSTS, Stand, ZooKeeperServers, need_zookeeper

# The modules find their own package as ``ansible_collections.stoker.spark``, as on a host.
sys.path.append(str(Path(__file__).parents[1] / "playbooks" / "collections"))

_skipped: list[str] = []

# Files that import a package of the dependency group `engines` -> the package. Without it they are left out as a whole.
_NEEDS = {"browser": "playwright", "integration/test_engine_guard.py": "ray", "integration/test_fetch.py": "boto3"}
collect_ignore = [name for name, package in _NEEDS.items() if importlib.util.find_spec(package) is None]
_skipped += [f"tests/{name}: needs {_NEEDS[name]}" for name in collect_ignore]

# In the background of a script SIGINT is ignored, and programs that tests start and interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


TESTS = Path(__file__).parent
STRICT = frozenset({"unit", "golden", "contract"})  # fail a test that leaves a file or socket open

# `make test` runs several tests at a time (pytest -n 2 --dist loadscope). Tests of a file stay together, and so do those of
# the folders in TOGETHER; the tests of a file in SPREAD need nothing of each other. Folders in LONGEST begin first.
SPREAD = frozenset({"ansible/test_playbooks.py"})
TOGETHER = {"molecule": "containers", "browser": "browser", "chaos": "chaos"}
LONGEST = ("molecule", "ansible", "integration", "chaos", "browser", "install", "simulation")
SHOWN = 25  # files in the table of times, which a run of more than LONG seconds ends with
LONG = 60.0


def pytest_report_header() -> list[str]:
    return [f"left out: {line} (make test ENGINES=yes brings it)" for line in _skipped]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name = item.path.relative_to(TESTS)
        if name.parts[0] in STRICT:
            item.add_marker(pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning"))
    places = {folder: place for place, folder in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(TESTS).parts[0], len(places)))


def group_of(nodeid: str) -> str:
    """Return the group that a test runs with, on one worker of pytest-xdist."""
    name = nodeid.partition("::")[0].removeprefix("tests/")
    return nodeid if name in SPREAD else TOGETHER.get(name.partition("/")[0], name)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Not the marker ``xdist_group``: pytest-xdist 3.8 passes it on in a field that pytest 9.2 does not have any more."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class InGroups(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return InGroups(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(f"{report.nodeid}: {report.longrepr}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which files took longest, with their fixtures: where a long run can become shorter."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0]] += report.duration
    total = sum(seconds.values())
    if total > LONG:
        terminalreporter.section(f"{total:.0f} s of tests; the files that took longest")
        for name, took in sorted(seconds.items(), key=lambda item: -item[1])[:SHOWN]:
            terminalreporter.line(f"{took:7.1f} s  {name}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if hasattr(session.config, "workerinput"):
        return  # a worker of `pytest -n 2`: the process that started it has the reports of both
    if os.environ.get("CI") == "true" and _skipped:
        print("\nskipped under CI, where everything must run:\n  " + "\n  ".join(_skipped))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperServers]:
    """One ZooKeeper server for all tests that do not harm it; each uses a directory of its own there."""
    need_zookeeper()
    with ZooKeeperServers(tmp_path_factory.mktemp("zookeeper")) as servers:
        os.environ[HOSTS] = servers.hosts
        yield servers
        del os.environ[HOSTS]


@pytest.fixture(autouse=True)
def _close_stands() -> Iterator[None]:
    """A client that is left over tries to connect indefinitely, in a thread. Hypothesis takes its random delays for the
    test's."""
    yield
    for stand in list(Stand.open):
        stand.close()


@pytest.fixture
def cluster(tmp_path: Path):  # type: ignore[no-untyped-def]
    """One master and one worker of two cores."""
    with Cluster(tmp_path) as running:
        yield running
