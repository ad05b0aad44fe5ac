"""A real browser, Debian's Chromium. Errors on its console, foreign requests and requests that fail are faults."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, expect

from tests.support import chromium
from tests.support.engine import Engine
from tests.support.prerequisites import need

# A hint about password managers; the key has no user name.
HARMLESS = ("verbose", "info", "log", "debug")
# What a page may take on a busy machine.
MOST_MS = 15_000
expect.set_options(timeout=MOST_MS)


class Watched:
    """What a page did that it should not."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self.faults: list[str] = []
        self.expected: set[int] = set()

    def follow(self, page: Page) -> None:
        """Note the faults of a page."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("requestfailed", self._failed)

    def _console(self, message: ConsoleMessage) -> None:
        is_expected = any(f"status of {status}" in message.text for status in self.expected)
        if message.type not in HARMLESS and not is_expected:
            self.faults.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._base_url, "data:")):
            self.faults.append(f"foreign: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.faults.append(f"{response.status}: {response.url}")

    def _failed(self, request: Request) -> None:
        # A page that is left ends what it asked for.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"failed: {request.url}: {request.failure}")


# Its event loop runs in this thread until it is closed: later tests have loops of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    need("chromium", chromium.PATH, "`apt-get install chromium`")
    with chromium.chromium() as browser:
        yield browser


@pytest.fixture
def context(engine: Engine, browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(base_url=str(engine.http.base_url)) as context:
        context.set_default_timeout(MOST_MS)
        yield context


@pytest.fixture
def watched(engine: Engine, context: BrowserContext) -> Iterator[Watched]:
    watched = Watched(str(engine.http.base_url))
    context.on("page", watched.follow)
    yield watched
    assert watched.faults == []


@pytest.fixture
def page(context: BrowserContext, watched: Watched) -> Page:
    return context.new_page()
