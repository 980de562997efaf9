"""A real browser before a real review server; what goes wrong in a page fails the test that opened it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from mmal_ros.review.app import create_app

CHROMIUM = "/usr/bin/chromium"
TOKEN = "a-token-of-the-tests"
CODER_TOKEN = "a-coders-token"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
PAGE_TIMEOUT_MS = 30_000
expect.set_options(timeout=PAGE_TIMEOUT_MS)
POLL_MS = 20
NETWORK = "Failed to load resource"
"""What Chromium's console says of every answer that is no success, and when a server is gone."""
LAPTOP = {"width": 1280, "height": 800}


class ReviewServer:
    """The server of the pages in a thread; stopped and started again, it keeps its address."""

    def __init__(self, root: Path, models: Path, live: Any = None) -> None:
        self._parts = (root, models, live)
        self._port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def link(self) -> str:
        """What `mmal review` prints first."""
        return f"{self.address}/?token={TOKEN}"

    @property
    def coder_link(self) -> str:
        """What it prints then."""
        return f"{self.address}/?token={CODER_TOKEN}"

    def start(self) -> None:
        root, models, live = self._parts
        app = create_app(root, TOKEN, live=live, models=models, coder_token=CODER_TOKEN)
        config = uvicorn.Config(app, port=self._port, log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._server.started:
            assert self._thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, f"the server did not start within {START_TIMEOUT_S} s"
            time.sleep(0.02)
        self._port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_TIMEOUT_S)
        assert not self._thread.is_alive(), f"the server did not end within {STOP_TIMEOUT_S} s"


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def until(page: Page, expression: str) -> None:
    """Wait until something is true in a page; Playwright's own way needs `eval`, which the pages forbid."""
    deadline = time.monotonic() + PAGE_TIMEOUT_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never true: {expression}; the page says: {page.inner_text('body')[:500]}"
        page.wait_for_timeout(POLL_MS)


class Visitor:
    """Somebody with a browser of their own who has opened the printed link; keeps what went wrong in their pages."""

    def __init__(self, browser: Browser, server: Any, link: str = "", **options: Any) -> None:
        self.server = server
        self.context: BrowserContext = browser.new_context(**{"viewport": LAPTOP, **options})
        self.context.set_default_timeout(PAGE_TIMEOUT_MS)
        self.context.on("page", self._watch)
        self.wrong: list[str] = []
        self.elsewhere: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.goto(link or server.link)

    def open(self, path: str) -> Page:
        self.page.goto(self.server.address + path)
        return self.page

    def review(self, session: str, coder: str = "C1") -> Page:
        """Open a session as a coder, and wait until it can be labelled."""
        self.page.evaluate("code => localStorage.setItem('mmal.coder', code)", coder)
        self.open(f"/session/{session}")
        until(self.page, "document.getElementById('clip-title').textContent.includes(' of ')")
        return self.page

    def close(self) -> None:
        self.context.close()

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.wrong.append(message.text))
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith(self.server.address):
            self.elsewhere.append(url)
