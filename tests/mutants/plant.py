"""A copy of the tree with one bug planted in it, the tests run there, and the verdict."""

from __future__ import annotations

import contextlib
import enum
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutants.report import VARIABLE

ROOT = Path(__file__).parents[2]
TIMEOUT = 300  # seconds for the tests of one mutant
TEST_TIMEOUT = 60  # seconds for one test, after which it has failed: many bugs make a test wait

_CRASHES = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)  # by the program itself


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old``, found once in ``file``, becomes ``new``; one of ``tests`` (node ids of pytest) has to fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


class Verdict(enum.Enum):
    FOUND = "found"
    SURVIVES = "SURVIVES"
    NONE = "NO VERDICT"


@dataclass(frozen=True, slots=True)
class Result:
    """``detail`` names the test that failed, or says why there is no verdict."""

    verdict: Verdict
    detail: str = ""


class NoVerdict(Exception):
    """The tests did not run as they must; the message says why."""


@dataclass(slots=True)
class _Run:
    """What the tests of one run did, by node id."""

    events: dict[str, list[str]] = field(default_factory=dict)
    failed: str = ""  # the first that failed, or in which the interpreter crashed

    def get(self, what: str) -> list[str]:
        return self.events.get(what, [])


class Field:
    """A copy of the tree in which bugs are planted one after the other. ``folder`` is empty, and is the caller's."""

    def __init__(self, folder: Path) -> None:
        self._tree = folder / "tree"
        self._report = folder / "report"
        self._good: set[str] = set()  # tests that passed without a bug
        self._times = itertools.count(1)
        _copy_tree(self._tree)
        self._python = _make_python(self._tree)

    def judge(self, mutant: Mutant, *, timeout: float = TIMEOUT) -> Result:
        """Plant the bug, run its tests, and take the bug out again. A bug is found if one of its tests fails, and passes
        without the bug. Tests that were skipped, not collected, killed from outside or too slow give no verdict.
        """
        path = self._tree / mutant.file
        good = path.read_text(encoding="utf-8")
        if good.count(mutant.old) != 1:
            return Result(Verdict.NONE, f"{mutant.old!r} is {good.count(mutant.old)} times in {mutant.file}")
        self._write(path, good.replace(mutant.old, mutant.new))
        try:
            run = self._run(mutant.tests, timeout)
        except NoVerdict as reason:
            return Result(Verdict.NONE, str(reason))
        finally:
            self._write(path, good)
        return self._judge(run, timeout)

    def _write(self, path: Path, text: str) -> None:
        """Bytecode is matched by size and time of the source, in seconds: every version has a time of its own."""
        path.write_text(text, encoding="utf-8")
        os.utime(path, (next(self._times),) * 2)

    def _judge(self, run: _Run, timeout: float) -> Result:
        if run.failed:
            if run.failed not in self._good:
                try:
                    if self._run((run.failed,), timeout).failed:
                        return Result(Verdict.NONE, f"{run.failed} fails without the bug, too")
                except NoVerdict as reason:
                    return Result(Verdict.NONE, f"without the bug: {reason}")
                self._good.add(run.failed)
            return Result(Verdict.FOUND, run.failed)
        if run.get("skipped"):
            return Result(Verdict.NONE, f"skipped: {', '.join(run.get('skipped'))}")
        return Result(Verdict.SURVIVES) if run.get("passed") else Result(Verdict.NONE, "no test ran")

    def _run(self, tests: tuple[str, ...], timeout: float) -> _Run:
        """Run the tests up to the first failure. Raises NoVerdict."""
        programs = self._python.parent
        environ = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # a third of the start
            VARIABLE: str(self._report),
        }
        self._report.write_text("")
        plugins = [f"-p{name}" for name in ("no:cacheprovider", "pytest_timeout", "tests.mutants.report")]
        command = [str(self._python), "-m", "pytest", "-x", "-q", f"--timeout={TEST_TIMEOUT}", *plugins, *tests]
        try:
            done = subprocess.run(
                command, cwd=self._tree, env=environ, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise NoVerdict(f"the tests took longer than {timeout:.0f} s") from None
        finally:
            _kill_processes(str(self._tree))
        run = _Run()
        for line in self._report.read_text(encoding="utf-8").splitlines():
            what, node = json.loads(line)
            run.events.setdefault(what, []).append(node)
        if run.get("uncollected"):
            raise NoVerdict(f"not collected: {', '.join(run.get('uncollected'))}: {_last_line(done.stdout)}")
        if -done.returncode in _CRASHES and run.get("started"):
            run.failed = run.get("started")[-1]
        elif done.returncode not in (0, 1) and not run.get("skipped"):
            raise NoVerdict(f"pytest ended with {done.returncode}: {_last_line(done.stdout + done.stderr)}")
        else:
            run.failed = next(iter(run.get("failed")), "")
        return run


def _copy_tree(target: Path) -> None:
    """The files that git tracks or would add, links as links. Build outputs stay behind."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source, copy = ROOT / name, target / name
        if source.is_symlink() or source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)


def _make_python(tree: Path) -> Path:
    """Make a virtual environment with the packages and programs of this one, but with the tree's own program, and return its
    Python. A variable would not do: many tests start programs without the variables of whoever runs the tests.
    """
    folder = tree / ".venv"
    venv.EnvBuilder(symlinks=True).create(folder)
    ours, programs = Path(sys.prefix), folder / "bin"
    packages = folder / Path(sysconfig.get_path("purelib")).relative_to(ours)
    (packages / "tree.pth").write_text(
        f"{tree / 'daemon'}\n{tree}\nimport site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    )
    for source in (ours / "bin").iterdir():
        if not (programs / source.name).exists():
            (programs / source.name).symlink_to(source)
    (programs / "stoker").unlink(missing_ok=True)
    (programs / "stoker").write_text(
        f"#!{programs / 'python'}\nimport sys\nfrom stoker.cli import main\nsys.exit(main())\n"
    )
    (programs / "stoker").chmod(0o755)
    return programs / "python"


def _kill_processes(path: str) -> None:
    """Kill what the tests left running, in whatever session: every process with ``path`` in its command or environment."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if not entry.name.isdecimal() or int(entry.name) == os.getpid():
                continue
            if path.encode() in (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["no output"])[-1]
