"""Keys, tokens, sessions and certificates: root does not lock the daemon's user out or follow its links, a wrong token locks
out nobody else, a session is worth nothing elsewhere, and a certificate is private and current."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
from pathlib import Path

import pytest
from flask import Flask

from stoker.config.web import Certificate
from stoker.core.model.states import Role
from stoker.errors import ConfigError
from stoker.security.files import locked
from stoker.security.keys import Keys
from stoker.security.roles import AccessRole
from stoker.security.throttle import FAILURES
from stoker.security.tokens import TokenFile
from stoker.web.access.policy import Access
from stoker.web.master import make_app
from stoker.web.serve import LazyWebServer
from tests.support.tls import make_certificate
from tests.support.wait import wait_until
from tests.support.web import Control, cluster_view

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


# --- root in the daemon's folder --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A keys folder of another user, the daemon's."""
    made = tmp_path / "keys"
    made.mkdir(mode=0o700)
    os.chown(made, NOBODY, NOBODY)
    return made


@as_root
def test_what_root_makes_belongs_to_the_daemons_user(folder: Path) -> None:
    TokenFile(folder).create("ada", AccessRole.VIEWER)
    Keys.make(folder, [Role.CLIENT])
    made = [folder / "tokens", folder / ".lock", folder / "managed", folder / "private", folder / "private/client.key"]
    assert {(path.stat().st_uid, path.stat().st_mode & 0o077) for path in made} == {(NOBODY, 0)}


@as_root
def test_root_follows_no_link_of_the_daemons_user(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("root:secret\n")
    secret.chmod(0o600)
    (folder / "tokens").symlink_to(secret)
    with pytest.raises(ConfigError) as refused:
        TokenFile(folder).text()
    assert "secret" not in str(refused.value)
    (folder / ".lock").unlink(missing_ok=True)
    (folder / ".lock").symlink_to(tmp_path / "made-by-root")
    with pytest.raises(OSError), locked(folder):
        pass
    assert not (tmp_path / "made-by-root").exists()


# --- tokens and sessions ----------------------------------------------------------------------------------------------


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "keys")


@pytest.fixture
def app(tokens: TokenFile) -> Flask:
    access = Access(host="10.0.0.1", anonymous=AccessRole.NONE, tokens=tokens, known_as=("localhost",))
    return make_app(cluster_view, Control(), access=access)


def test_wrong_tokens_lock_out_nobody_else_at_that_address(app: Flask, tokens: TokenFile) -> None:
    good = tokens.create("ada", AccessRole.VIEWER)
    client = app.test_client()

    def status(token: str) -> int:
        return client.get("/json/", headers={"Authorization": f"Bearer {token}"}).status_code

    assert [status(f"stoker_wrong{number}") for number in range(FAILURES + 3)] == [401] * FAILURES + [429] * 3
    assert status(good) == 200 and status("stoker_wrong") == 429


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_session_is_worth_nothing_on_another_machine(app: Flask, tokens: TokenFile, scheme: str) -> None:
    """Without TLS, browsers send it to all ports of the host, so also to the pages of jobs there."""
    client = app.test_client()
    base = f"{scheme}://10.0.0.1:8080"
    token = tokens.create("ada", AccessRole.VIEWER)
    page = client.get("/login", base_url=base).text
    csrf = page.partition('name="csrfToken" value="')[2].partition('"')[0]
    form = {"token": token, "csrfToken": csrf}
    response = client.post("/login", data=form, base_url=base)
    assert response.status_code == 303
    cookie = response.headers["Set-Cookie"]
    prefix = "__Host-" if scheme == "https" else ""
    assert cookie.startswith(f"{prefix}stoker_session_8080=") and ("Secure" in cookie) == (scheme == "https")
    assert "Path=/" in cookie and "Domain" not in cookie and "SameSite=Strict" in cookie and "HttpOnly" in cookie
    assert client.get("/json/", base_url=base).status_code == 200
    stolen = {"REMOTE_ADDR": "10.6.6.6"}
    assert client.get("/json/", base_url=base, environ_overrides=stolen).status_code == 401
    assert client.get("/json/", base_url=base).status_code == 200, "the thief does not end it"


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o604, 0o622, 0o646])
def test_a_private_key_that_others_read_is_refused(tmp_path: Path, mode: int) -> None:
    chain, key = make_certificate(tmp_path)
    key.chmod(mode)
    with pytest.raises(ConfigError, match=rf"{key} is open to other users: `chmod 600 {key}`"):
        Certificate(chain=chain, key=key).context()


def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain, key = make_certificate(tmp_path)
    server = LazyWebServer(
        "127.0.0.1", 0, lambda: make_app(cluster_view, Control(), access=Access()), tls=context(tmp_path)
    )
    server.start()
    try:

        def served() -> str:
            return ssl.get_server_certificate(("127.0.0.1", server.port))

        def answers() -> bool:
            trusting = ssl.create_default_context(cafile=str(tmp_path / "first.pem"))
            connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20, context=trusting)
            with contextlib.closing(connection):
                connection.request("GET", "/healthz")
                return connection.getresponse().status == 200

        first = chain.read_text()
        (tmp_path / "first.pem").write_text(first)
        assert served() == first and answers()
        chain.write_text("no certificate")
        wait_until(lambda: "the certificate in use stays" in caplog.text, what="a line about the broken file")
        assert served() == first and answers()
        make_certificate(tmp_path)
        wait_until(lambda: served() == chain.read_text(), what="the new certificate")
        assert chain.read_text() != first and key.exists()
    finally:
        server.close()


def context(folder: Path) -> ssl.SSLContext:
    return Certificate(chain=folder / "cert.pem", key=folder / "key.pem").context()
