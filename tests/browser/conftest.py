"""The system's Chromium, without a window, driven by Playwright. Screenshots go to tests/artifacts."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
PATIENCE = 20_000  # milliseconds: far more than anything here takes
Opener = Callable[..., Page]
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs a browser: sudo apt-get install chromium")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Opener]:
    """``open_page(url, **options of the browser's context)``: a page; the test fails if one of its scripts did."""
    problems: list[str] = []
    contexts: list[BrowserContext] = []

    def opened(url: str, **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
        page.on("console", lambda message: problems.append(message.text) if _is_ours(message.text) else None)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        with contextlib.suppress(Exception):  # the browser is gone: the test has said so
            context.close()
    assert problems == []


def _is_ours(text: str) -> bool:
    """Return requests that Stoker's policy made the browser refuse, and errors of scripts; an unreachable server is not
    one."""
    return "Content Security Policy" in text or "Uncaught" in text


def shoot(page: Page, name: str, *, full: bool = True) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=str(ARTIFACTS / f"{name}.png"), full_page=full)
