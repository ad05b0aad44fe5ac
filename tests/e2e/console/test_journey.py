"""A merchant's whole day in a real browser, by mouse and by keyboard alone."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Page, expect

from api.console.navigation import PAGES
from tests.e2e.console.conftest import Watched
from tests.support.engine import Engine
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

MOST_TABS = 200
# What a plan's job may take on a busy machine.
PLAN_MS = 60_000


class Mouse:
    """Clicks, and types into fields."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def go(self, title: str) -> None:
        """Go to a page of the navigation."""
        self.press(self.page.get_by_role("link", name=title, exact=True))
        expect(self.page.get_by_role("heading", level=1, name=title)).to_be_visible()

    def press(self, target: Locator) -> None:
        """Press a button, or follow a link."""
        target.click()

    def tick(self, box: Locator) -> None:
        """Tick a box."""
        box.check()

    def write(self, field: Locator, text: str) -> None:
        """Replace a field's text."""
        field.fill(text)

    def search(self, text: str) -> None:
        """Search on the page."""
        self.write(self.page.get_by_label("Search"), text)


class Keyboard(Mouse):
    """Has no mouse."""

    def go(self, title: str) -> None:
        self.page.keyboard.press("g")
        self.page.keyboard.press(next(entry.key for entry in PAGES if entry.title == title))
        expect(self.page.get_by_role("heading", level=1, name=title)).to_be_visible()

    def press(self, target: Locator) -> None:
        self._reach(target)
        self.page.keyboard.press("Enter")

    def tick(self, box: Locator) -> None:
        self._reach(box)
        self.page.keyboard.press("Space")

    def write(self, field: Locator, text: str) -> None:
        self._reach(field)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def search(self, text: str) -> None:
        self.page.keyboard.press("/")
        self.page.keyboard.type(text)

    def _reach(self, target: Locator) -> None:
        expect(target).to_be_visible()
        for _ in range(MOST_TABS):
            if target.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not reach {target}")


@pytest.fixture
def held(engine: Engine) -> Iterator[str]:
    """A product whose target waits for a person; automation is stopped. The policy is put back at the end."""
    policy = engine.http.get("/api/v1/rulebook").json()["policy"]
    engine.sql("UPDATE breaker SET is_open = true")
    product_id = str(engine.put_product(strategy="match")["product_id"])
    offer: dict[str, object] = {"product_id": product_id, "competitor": "acme", "price": "95.00", "currency": "USD"}
    engine.settled(engine.publish("competitor_price_changed", offer)["event_id"])
    yield product_id
    engine.sql("UPDATE breaker SET is_open = false")
    if engine.http.get("/api/v1/rulebook").json()["policy"] != policy:
        engine.http.put("/api/v1/policy", params={"confirm": "true"}, json=policy)


def nothing_is_under_way(engine: Engine) -> None:
    """Wait for the recalculation that follows a change: a plan that is made before its end is out of date."""
    path = "/api/v1/tasks?status=queued&status=running"
    eventually(lambda: not engine.http.get(path).json()["items"], "no job is under way")


@pytest.mark.parametrize("hands", [Mouse, Keyboard])
def test_a_merchants_day(page: Page, engine: Engine, watched: Watched, held: str, hands: type[Mouse]) -> None:
    word = f"kettle{uuid4().hex[:8]}"
    product_id = str(engine.put_product(name=f"Steel {word}", cost="84.00")["product_id"])
    person = hands(page)

    page.goto("/console")
    person.write(page.get_by_label("API key"), engine.key)
    person.press(page.get_by_role("button", name="Sign in"))
    expect(page.get_by_role("link", name="The breaker has stopped automation")).to_be_visible()

    # Find a product by a word.
    person.go("Products")
    person.search(word)
    expect(page.get_by_role("row")).to_have_count(2)
    person.press(page.get_by_role("link", name=product_id))
    expect(page.get_by_role("heading", level=1)).to_contain_text(word)
    expect(page.locator(".tiles dd").first).to_contain_text("100.00")

    # Change the policy: a wrong value is shown at its field, and the right one becomes a plan.
    person.go("Rules")
    person.press(page.get_by_role("link", name="Policy").first)
    watched.expected = {422}
    person.write(page.get_by_label("Min margin"), "much")
    person.press(page.get_by_role("button", name="Plan the change"))
    expect(page.get_by_label("Min margin")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Min margin")).to_have_value("much")
    person.write(page.get_by_label("Min margin"), "0.25")
    person.press(page.get_by_role("button", name="Plan the change"))

    # See the plan, and apply it.
    expect(page.locator("#now .state")).to_have_text("ready", timeout=PLAN_MS)
    plan = page.url.partition("?")[0]
    expect(page.locator(".tiles div", has_text="Rise").locator("dd")).not_to_have_text("0")
    person.press(page.get_by_role("button", name="Apply"))
    expect(page.locator("#now .state")).to_have_text("applied", timeout=PLAN_MS)

    # See the price, and why it is so.
    person.go("Products")
    person.search(product_id)
    person.press(page.get_by_role("link", name=product_id))
    expect(page.locator(".tiles dd").first).to_contain_text("105.00")
    expect(page.locator("#history ~ .scroll tbody tr")).to_have_count(2)

    # Approve a hold, and let automation go on.
    person.go("Holds")
    person.tick(page.get_by_label(held))
    person.write(page.get_by_label("Reason", exact=True), "seen at the shop")
    person.press(page.get_by_role("button", name="Publish the target"))
    expect(page.locator(".note")).to_contain_text("1 target was published")
    person.write(page.get_by_label("Reason to go on"), "the feed is corrected")
    person.press(page.get_by_role("button", name="Let automation go on"))
    expect(page.locator(".note")).to_contain_text("Automation goes on")

    # Take the plan back.
    nothing_is_under_way(engine)
    page.goto(plan)
    person.press(page.get_by_role("button", name="Plan to undo it"))
    expect(page.locator("#now .state")).to_have_text("ready", timeout=PLAN_MS)
    person.press(page.get_by_role("button", name="Apply"))
    expect(page.locator("#now .state")).to_have_text("applied", timeout=PLAN_MS)
    person.go("Products")
    person.search(product_id)
    person.press(page.get_by_role("link", name=product_id))
    expect(page.locator(".tiles dd").first).to_contain_text("100.00")

    person.press(page.get_by_role("button", name="Sign out"))
    expect(page.get_by_label("API key")).to_be_focused()
