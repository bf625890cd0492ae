"""``submit --deploy-mode client``: runs the program on this machine, in this directory and environment, as a worker would
(``engines.driver``)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stoker.client.notices import say
from stoker.client.submit.sources import FileIndex
from stoker.client.submit.submission import Options, describe
from stoker.config.client import ClientConfig
from stoker.core.model.values import Artifact, DriverDescription
from stoker.engines.driver import driver_launch
from stoker.engines.spark import default_homes
from stoker.errors import Refused
from stoker.io.isolated import isolated

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_BY_THE_KERNEL = 0x80  # SI_KERNEL: the terminal has sent it to the program as well


def run_here(options: Options, config: ClientConfig, environ: Mapping[str, str]) -> int:
    """Run the program to its end; return its exit code, or 128 + the signal's number. Signals are passed on to it.

    Raises UsageError for malformed input, Refused when a file cannot be downloaded or the program cannot be started.
    """
    book = FileIndex()
    driver = describe(options, config, book)
    if driver.supervise:
        say("warning: --supervise has no effect with --deploy-mode client")
    with tempfile.TemporaryDirectory(prefix="stoker-submit-") as name:
        folder = Path(name)
        for artifact in driver.artifacts:
            _place(artifact, folder / artifact.name, book)
        homes = default_homes(environ.get("SPARK_HOME"))
        launch = driver_launch(driver, folder, environ=environ, master_url=config.url, homes=homes)
        launch.write_files(folder)
        argv = [_original(word, driver, folder, book) for word in launch.argv]
        return _supervise(argv, launch.env)


def _place(artifact: Artifact, target: Path, book: FileIndex) -> None:
    if artifact.sha256:
        target.symlink_to(book.path_of(artifact.sha256))
        return
    parts = urlsplit(artifact.url)
    if parts.scheme in ("file", "local"):
        target.symlink_to(unquote(parts.path))
        return
    fetch = isolated("stoker.io.fetch", artifact.url, str(target))
    done = subprocess.run(fetch, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines()
        raise Refused(lines[-1] if lines else f"cannot fetch {artifact.url}")
    if artifact.executable:
        target.chmod(0o755)


def _original(word: str, driver: DriverDescription, folder: Path, book: FileIndex) -> str:
    """Return the program's own path, for programs that look for files beside themselves."""
    if word == str(folder / driver.main):
        main = next(artifact for artifact in driver.artifacts if artifact.name == driver.main)
        if main.sha256:
            return str(book.path_of(main.sha256))
    return word


def _supervise(argv: list[str], env: Mapping[str, str]) -> int:
    program = shutil.which(argv[0], path=env.get("PATH"))
    if program is None:
        raise Refused(f"cannot start {argv[0]}: it was not found, or is not executable")
    watched = {signal.SIGCHLD, *_FORWARDED}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        try:
            pid = os.posix_spawn(program, argv, env, setsigmask=before)
        except OSError as error:
            raise Refused(f"cannot start {argv[0]}: {error.strerror}") from None
        while True:
            information = signal.sigwaitinfo(watched)
            if information.si_signo != signal.SIGCHLD:
                if information.si_code != _BY_THE_KERNEL:
                    os.kill(pid, information.si_signo)
                continue
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
