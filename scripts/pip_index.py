"""Read pip's settings, translate them for uv, and download from pip's package index. Uses the standard library only.

Settings are read where pip reads them (https://pip.pypa.io/en/stable/topics/configuration/): configuration files, then
variables ``PIP_...``. An index answers with pages of PEP 503 (HTML) or PEP 691 (JSON); ``file:`` URLs and folders work as
with pip. This module runs with Python 3.8 and newer, because scripts/bootstrap.py must be able to report a Python that is
too old.
"""

from __future__ import annotations

import base64
import configparser
import contextlib
import json
import netrc
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

DEFAULT_INDEX = "https://pypi.org/simple"
TIMEOUT = 15.0  # seconds of silence of an index; pip's default
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


class UnusableIndex(Exception):
    """An index cannot be used; the text is one line with its name and the reason."""


class Settings:
    """pip's settings for ``pip install``, by the long names of its options."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.found: dict[str, str] = {}
        sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
        for path in _files(environ):
            for name, values in _read(path).items():
                if name in sections:
                    sections[name].update(values)
        self.found.update(sections["global"])
        self.found.update(sections["install"])
        for name, value in environ.items():
            if name.startswith("PIP_") and value:
                self.found[name[4:].lower().replace("_", "-")] = value

    def one(self, name: str) -> str:
        return self.found.get(name, "").strip()

    def many(self, name: str) -> list[str]:
        return self.found.get(name, "").split()

    def is_on(self, name: str) -> bool:
        return self.one(name).lower() in ("1", "true", "yes", "on", "y", "t")

    @property
    def index(self) -> str:
        return self.one("index-url") or self.one("pypi-url") or DEFAULT_INDEX

    @property
    def indexes(self) -> list[str]:
        return [] if self.is_on("no-index") else [self.index, *self.many("extra-index-url")]

    @property
    def timeout(self) -> float:
        try:
            return float(self.one("timeout") or self.one("default-timeout") or TIMEOUT)
        except ValueError:
            return TIMEOUT

    @property
    def certificates(self) -> str:
        """A file or folder of certificate authorities; empty if the system's authorities apply."""
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        return self.one("cert") or next((self.environ[name] for name in names if self.environ.get(name)), "")

    @property
    def words_for_uv(self) -> list[str]:
        """Options of ``uv pip install`` for which there is no environment variable."""
        return ["--no-index"] if self.is_on("no-index") else []

    def for_uv(self) -> dict[str, str]:
        """Return an environment in which uv uses pip's settings. Variables that are set for uv itself keep their values."""
        env = dict(self.environ)
        wanted = {
            "UV_DEFAULT_INDEX": self.index,
            "UV_INDEX": " ".join(self.many("extra-index-url")),
            "UV_FIND_LINKS": ",".join(self.many("find-links")),
            "UV_INSECURE_HOST": " ".join(self.many("trusted-host")),
            # pip treats all indexes alike; the hashes of a lock identify the right file.
            "UV_INDEX_STRATEGY": "unsafe-best-match" if self.many("extra-index-url") else "",
            "UV_HTTP_TIMEOUT": str(int(self.timeout)) if self.timeout > TIMEOUT else "",
            "SSL_CLIENT_CERT": self.one("client-cert"),
            "UV_SYSTEM_CERTS": "" if self.certificates or not _has_system_certificates() else "true",
        }
        if self.certificates:
            wanted["SSL_CERT_DIR" if os.path.isdir(self.certificates) else "SSL_CERT_FILE"] = self.certificates
        if self.one("proxy"):
            wanted.update({name: self.one("proxy") for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")})
        for name, value in wanted.items():
            if value:
                env.setdefault(name, value)
        return env


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield pip's configuration files; later ones override earlier ones."""
    own = environ.get("PIP_CONFIG_FILE", "")
    if own == os.devnull:
        return
    home = environ.get("HOME", "")
    for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":"):
        yield Path(folder, "pip", "pip.conf")
    yield Path("/etc/pip.conf")
    if home:
        yield Path(home, ".pip", "pip.conf")
    folder = environ.get("XDG_CONFIG_HOME") or (os.path.join(home, ".config") if home else "")
    if folder:
        yield Path(folder, "pip", "pip.conf")
    if environ.get("VIRTUAL_ENV"):
        yield Path(environ["VIRTUAL_ENV"], "pip.conf")
    if own:
        yield Path(own)


def _read(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except (configparser.Error, UnicodeDecodeError) as error:
        raise UnusableIndex(f"pip's configuration {path} cannot be read: {str(error).splitlines()[0]}") from None
    return {
        section.lower(): {name.lower().replace("_", "-"): value for name, value in parser[section].items()}
        for section in parser.sections()
    }


def _has_system_certificates() -> bool:
    paths = ssl.get_default_verify_paths()
    with contextlib.suppress(OSError):
        return bool(paths.cafile or (paths.capath and any(os.scandir(paths.capath))))
    return False


class Link(NamedTuple):
    """A file of a package. ``sha256`` is empty if the index does not give it."""

    name: str
    url: str
    sha256: str


class Index:
    """Reads pages and files of the indexes in these settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def links(self, package: str) -> Iterator[Link]:
        """Yield the files of a package, from all indexes and ``find-links``. Raises UnusableIndex if none can be read."""
        errors: list[UnusableIndex] = []
        places = [f"{index.rstrip('/')}/{package}/" for index in self.settings.indexes]
        places += self.settings.many("find-links")
        for place in places:
            try:
                yield from self._page(place)
            except UnusableIndex as error:
                errors.append(error)
        if len(errors) == len(places):
            raise errors[0] if errors else UnusableIndex("pip is set up with no-index and without find-links")

    def _page(self, place: str) -> list[Link]:
        if "://" not in place and not place.startswith("file:"):
            place = Path(place).expanduser().resolve().as_uri()
        if place.startswith("file:"):
            folder = Path(urllib.request.url2pathname(urllib.parse.urlsplit(place).path))
            if folder.is_dir() and not (folder / "index.html").is_file():
                return [Link(path.name, path.as_uri(), "") for path in sorted(folder.glob("*.whl"))]
            if folder.is_dir():
                place = (folder / "index.html").as_uri()
        text, url, kind = self._get(place)
        if kind.endswith("+json"):
            found = [(file["url"], file.get("hashes", {}).get("sha256", "")) for file in json.loads(text)["files"]]
        else:
            found = [(link, "") for link in _anchors(text.decode("utf-8", "replace"))]
        return [_link(urllib.parse.urljoin(url, link), digest) for link, digest in found]

    def download(self, link: Link) -> bytes:
        """Return the content of a file. Raises UnusableIndex."""
        return self._get(link.url)[0]

    def _get(self, url: str) -> tuple[bytes, str, str]:
        """Return (content, URL after redirects, content type). Raises UnusableIndex."""
        parts = urllib.parse.urlsplit(url)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        request = urllib.request.Request(bare, headers={"Accept": ACCEPT, "User-Agent": "stoker-bootstrap"})  # noqa: S310
        login = _login(parts, self.settings)
        if login:
            request.add_unredirected_header("Authorization", login)
        try:
            with self._opener(parts.hostname or "", has_secret=bool(login)).open(
                request, timeout=self.settings.timeout
            ) as answer:
                return answer.read(), answer.geturl(), answer.headers.get_content_type()
        except urllib.error.HTTPError as error:
            raise UnusableIndex(f"{bare}: HTTP {error.code} {error.reason}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise UnusableIndex(f"{bare}: {getattr(reason, 'strerror', None) or reason}") from None

    def _opener(self, host: str, *, has_secret: bool) -> urllib.request.OpenerDirector:
        settings = self.settings
        path = settings.certificates
        try:
            is_folder = os.path.isdir(path)
            cafile, capath = (None, path) if is_folder else (path or None, None)
            context = ssl.create_default_context(cafile=cafile, capath=capath)
            if settings.one("client-cert"):
                context.load_cert_chain(settings.one("client-cert"))
        except OSError as error:
            raise UnusableIndex(
                f"the certificates of pip's settings ({path}) cannot be read: {error.strerror}"
            ) from None
        # A machine may have no authorities at all (Debian without ca-certificates). The hash proves the content of each
        # download, so only a password would be at risk.
        is_bare = not path and not _has_system_certificates() and not has_secret
        if is_bare or host in [name.partition(":")[0] for name in settings.many("trusted-host")]:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        proxies = {"http": settings.one("proxy"), "https": settings.one("proxy")} if settings.one("proxy") else None
        return urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
        )


def _link(url: str, digest: str) -> Link:
    bare, _, fragment = url.partition("#")
    match = re.search(r"sha256=([0-9a-f]{64})", fragment)
    name = urllib.parse.unquote(urllib.parse.urlsplit(bare).path.rpartition("/")[2])
    return Link(name, bare, digest or (match.group(1) if match else ""))


def _login(parts: urllib.parse.SplitResult, settings: Settings) -> str | None:
    """Return a header with the password of the URL, of an index on the same host, or of ``.netrc``; None without one."""
    indexes = map(urllib.parse.urlsplit, settings.indexes)
    known = [parts, *(index for index in indexes if index.netloc.rpartition("@")[2] == parts.netloc)]
    login = next((part for part in known if part.username), None)
    user, password = (login.username or "", login.password or "") if login else ("", "")
    user, password = urllib.parse.unquote(user), urllib.parse.unquote(password)
    if not user and parts.scheme in ("http", "https"):
        path = settings.environ.get("NETRC") or os.path.join(settings.environ.get("HOME", ""), ".netrc")
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            entry = netrc.netrc(path).authenticators(parts.hostname or "")
            user, password = (entry[0], entry[2] or "") if entry else ("", "")
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else None


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.found.append(href)


def _anchors(text: str) -> list[str]:
    parser = _Anchors()
    parser.feed(text)
    return parser.found
