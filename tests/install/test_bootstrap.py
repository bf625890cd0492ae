"""The first command: uv from an index as pip is set up for it, then everything by hash; what fails says so in one line."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.tls import make_certificate

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import bootstrap  # noqa: E402
from pip_index import Index, Settings, UnusableIndex  # noqa: E402


@pytest.fixture(scope="module")
def wheel() -> Path:
    """uv's, as `make` has kept it."""
    return next(bootstrap.find_uv(Settings(os.environ)).parent.glob("uv-*.whl"))


class Simple(BaseHTTPRequestHandler):
    """A package index with one wheel, of PEP 691 or, for who does not ask for that, of PEP 503."""

    wheel: Path
    as_json = True
    login = ""

    def do_GET(self) -> None:
        if self.login and self.headers["Authorization"] != self.login:
            return self.answer(401, "text/plain", b"")
        if self.path == "/simple/uv/":
            if self.as_json and "json" in self.headers["Accept"]:
                files = [{"filename": self.wheel.name, "url": f"../../files/{self.wheel.name}", "hashes": {}}]
                body = json.dumps({"meta": {"api-version": "1.0"}, "name": "uv", "files": files}).encode()
                return self.answer(200, "application/vnd.pypi.simple.v1+json", body)
            body = f'<!DOCTYPE html><a href="../../files/{self.wheel.name}#sha256=">x</a>'.encode()
            return self.answer(200, "text/html", body)
        if self.path == f"/files/{self.wheel.name}":
            return self.answer(200, "application/octet-stream", self.wheel.read_bytes())
        return self.answer(404, "text/plain", b"")

    def answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(wheel: Path, *, tls: ssl.SSLContext | None = None, **how: object) -> Iterator[str]:
    """HOST:PORT."""
    handler = type("Handler", (Simple,), {"wheel": wheel, **how})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def found(home: Path, **environ: str) -> str:
    """The version that the uv prints which was fetched into an empty cache."""
    environ = {"HOME": str(home), "PIP_CONFIG_FILE": os.devnull, **environ}
    program = bootstrap.find_uv(Settings(environ))
    assert program.is_relative_to(home)
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "html"])
def test_uv_comes_from_the_index_that_pip_is_set_up_for(wheel: Path, tmp_path: Path, as_json: bool) -> None:
    with serving(wheel, as_json=as_json) as address:
        assert found(tmp_path, PIP_INDEX_URL=f"http://{address}/simple/").startswith(f"uv {bootstrap.pinned()[0]}")
    assert found(tmp_path, PIP_INDEX_URL="http://127.0.0.1:9/simple").startswith("uv "), "no index is asked again"


def test_from_a_folder(wheel: Path, tmp_path: Path) -> None:
    assert found(tmp_path / "a", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheel.parent)).startswith("uv ")
    page = tmp_path / "simple" / "uv"
    page.mkdir(parents=True)
    shutil.copy(wheel, page)
    index = (tmp_path / "simple").as_uri()
    assert found(tmp_path / "b", PIP_INDEX_URL="http://127.0.0.1:9/", PIP_EXTRA_INDEX_URL=index).startswith("uv ")


def test_with_a_password_and_an_authority_of_ones_own(
    wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cert, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    login = "Basic " + base64.b64encode(b"ada:p@ss").decode()
    with serving(wheel, tls=context, login=login) as address:
        url = f"https://ada:p%40ss@{address}/simple"
        assert found(tmp_path / "a", PIP_INDEX_URL=url, PIP_CERT=str(cert)).startswith("uv ")
        with pytest.raises(UnusableIndex, match=r"(?i)certificate"):
            found(tmp_path / "b", PIP_INDEX_URL=url)
        with pytest.raises(UnusableIndex, match="HTTP 401"):
            found(tmp_path / "c", PIP_INDEX_URL=f"https://{address}/simple", PIP_CERT=str(cert))
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / ".netrc").write_text("machine 127.0.0.1 login ada password p@ss\n")
        assert found(tmp_path / "d", PIP_INDEX_URL=f"https://{address}/simple", PIP_CERT=str(cert)).startswith("uv ")
    shown = capsys.readouterr()
    assert "Fetching uv" in shown.out and "p%40ss" not in shown.out + shown.err


def test_a_password_is_not_sent_where_an_index_redirects_to(wheel: Path) -> None:
    seen: list[str | None] = []

    def note(request: Simple) -> None:
        seen.append(request.headers["Authorization"])
        Simple.do_GET(request)

    with serving(wheel, do_GET=note) as other:

        def redirect(request: Simple) -> None:
            seen.append(request.headers["Authorization"])
            request.send_response(302)
            request.send_header("Location", f"http://{other}{request.path}")
            request.send_header("Content-Length", "0")
            request.end_headers()

        with serving(wheel, do_GET=redirect) as address:
            index = Index(
                Settings({"PIP_INDEX_URL": f"http://ada:secret@{address}/simple", "PIP_CONFIG_FILE": os.devnull})
            )
            assert [link.name for link in index.links("uv")] == [wheel.name]
    assert seen[0] is not None and seen[1:] == [None]


def test_a_file_with_another_hash_is_not_run(wheel: Path, tmp_path: Path) -> None:
    forged = tmp_path / wheel.name
    forged.write_bytes(wheel.read_bytes() + b"x")
    with serving(forged) as address, pytest.raises(bootstrap.BootstrapError, match=r"is not the file that .*lock pins"):
        found(tmp_path, PIP_INDEX_URL=f"http://{address}/simple")
    assert not list(tmp_path.rglob("uv"))


def test_settings_are_read_where_pip_reads_them(tmp_path: Path) -> None:
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://a/simple\nextra_index_url =\n    https://b/simple\n    https://c/simple\n"
        "trusted-host = b c\ntimeout = 60\n[install]\nindex-url = https://d/simple\n[list]\nindex-url = https://e\n"
    )
    (tmp_path / "more.conf").write_text("[global]\nfind-links = /srv/wheels\nproxy = http://proxy:3128\n")
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "more.conf"), "PIP_CERT": "/srv/ca.pem"}
    settings = Settings(environ)
    assert settings.indexes == ["https://d/simple", "https://b/simple", "https://c/simple"]
    env = settings.for_uv()
    assert {name: value for name, value in env.items() if name not in environ and name.isupper()} == {
        "UV_DEFAULT_INDEX": "https://d/simple",
        "UV_INDEX": "https://b/simple https://c/simple",
        "UV_FIND_LINKS": "/srv/wheels",
        "UV_INSECURE_HOST": "b c",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_HTTP_TIMEOUT": "60",
        "SSL_CERT_FILE": "/srv/ca.pem",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://proxy:3128"),
    }
    assert Settings({**environ, "PIP_INDEX_URL": "https://f"}).index == "https://f", "variables are stronger than files"
    assert Settings({**environ, "UV_DEFAULT_INDEX": "https://g"}).for_uv()["UV_DEFAULT_INDEX"] == "https://g"


def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("index-url = https://a\n")
    with pytest.raises(UnusableIndex, match=r"pip.conf cannot be read: [^\n]*$"):
        Settings({"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")})


def test_proxies_are_used(wheel: Path, tmp_path: Path) -> None:
    """The first line of a request to a proxy has the whole URL."""
    with serving(wheel) as address, pytest.raises(UnusableIndex, match="HTTP 404"):
        list(
            Index(Settings({"PIP_INDEX_URL": "http://nowhere.invalid/simple", "PIP_PROXY": f"http://{address}"})).links(
                "uv"
            )
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What installing needs of one, without a virtual environment."""
    folder = tmp_path / "checkout"
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "daemon" / "stoker").mkdir(parents=True)
    shutil.copy(ROOT / "daemon" / "stoker" / "__init__.py", folder / "daemon" / "stoker")
    for name in ("Makefile", "pyproject.toml", "LICENSE", "docs/package.md", "daemon/stoker/version.py"):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def make(checkout: Path, home: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Neither pip nor venv is available, and nothing of this environment."""
    env = {"HOME": str(home), "PATH": f"{os.path.dirname(sys.base_prefix + '/bin/x')}:/usr/bin:/bin", **environ}
    words = ("make", "--no-print-directory", *words)
    return subprocess.run(words, cwd=checkout, env=env, capture_output=True, text=True, timeout=100, check=False)


def test_an_index_out_of_reach_is_one_line(checkout: Path, tmp_path: Path) -> None:
    for url, reason in (
        ("http://127.0.0.1:9/simple", "Connection refused"),
        ("file:///nowhere", "No such file or directory"),
    ):
        done = make(checkout, tmp_path, ".venv/.controller", PIP_INDEX_URL=url, PIP_CONFIG_FILE=os.devnull)
        line, *rest = done.stderr.splitlines()
        assert line.startswith("stoker: cannot reach the package index: ") and line.count(reason) == 1, done.stderr
        assert "PIP_INDEX_URL" in line and [part for part in rest if not part.startswith("make: ***")] == []


def test_a_home_that_cannot_be_written_is_one_line() -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": "/proc/none"}
    done = subprocess.run(
        [ROOT / "scripts" / "start"], env=environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("stoker: this user cannot write to the home folder /proc/none:"), done.stderr
    assert done.stderr.count("\n") == 1


def test_it_installs_without_an_index_what_was_fetched_once_and_a_moved_checkout_says_so(
    checkout: Path, tmp_path: Path
) -> None:
    uv = bootstrap.find_uv(Settings(os.environ))
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / ".cache").mkdir()
    shutil.copytree(uv.parents[1], tmp_path / ".cache" / "stoker", ignore=shutil.ignore_patterns("hadoop*", "spark*"))
    offline = {
        "PIP_INDEX_URL": Settings(os.environ).index,
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    done = make(checkout, tmp_path, ".venv/.controller", UV_CACHE_DIR=cache, **offline)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "" and len(done.stdout.splitlines()) == 1
    size = sum(path.lstat().st_size for path in (checkout / ".venv").rglob("*"))
    _, stated = bootstrap.SIZES["controller"]
    assert 0.7 * stated < size / 1e6 < 1.4 * stated, f"{size / 1e6:.0f} MB, scripts/bootstrap.py says {stated}"
    moved = checkout.rename(tmp_path / "renamed")
    done = make(moved, tmp_path, "help")
    assert done.returncode != 0 and "run 'make clean'" in done.stderr and len(done.stderr.splitlines()) == 1
    assert make(moved, tmp_path, "clean").returncode == 0 and make(moved, tmp_path, "help").returncode == 0
