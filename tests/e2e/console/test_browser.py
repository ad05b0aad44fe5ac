"""The console in a real browser, as a merchant uses it."""

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.conftest import Watched
from tests.support.engine import Engine
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

PAGES = [
    "/console", "/console/products", "/console/products?q=nothing-fits", "/console/products/P-100", "/console/holds",
    "/console/rules", "/console/rules/policy", "/console/rules/promotion/new", "/console/rules/versions",
    "/console/plans",
    "/console/try?product_id=P-100",
    "/console/events", "/console/jobs", "/console/access",
]  # fmt: skip
SERIOUS = {"serious", "critical"}


def sign_in(page: Page, engine: Engine) -> None:
    page.goto("/")
    page.get_by_label("API key").fill(engine.key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_merchant_finds_a_product_and_publishes_a_price(page: Page, engine: Engine, watched: Watched) -> None:
    product = engine.put_product(name="Kettle for the browser")["product_id"]
    sign_in(page, engine)
    page.get_by_role("link", name="Products", exact=True).click()
    page.get_by_label("Search").press_sequentially(str(product))
    page.get_by_role("link", name=str(product)).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Kettle for the browser")
    page.get_by_label("Market").select_option("CHI")
    page.get_by_role("button", name="Show the price").click()
    expect(page.locator(".big")).to_have_text("100.00")
    watched.expected = {422}
    page.get_by_label("Price, USD").fill("many")
    page.get_by_label("Reason", exact=True).fill("a clearance")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_label("Price, USD")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Reason", exact=True)).to_have_value("a clearance")
    page.get_by_label("Price, USD").fill("80.00")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("status")).to_contain_text("published")
    expect(page.locator("#history ~ .scroll tbody tr").first).to_contain_text("manual price")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_focused()


def test_the_keyboard_alone_reaches_a_product(page: Page, engine: Engine, watched: Watched) -> None:
    page.goto("/console")
    page.keyboard.type(engine.key)  # the field has the focus
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("p")
    expect(page.get_by_role("heading", name="Products")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("P-101")
    expect(page.get_by_role("row")).to_have_count(2)
    link = page.get_by_role("link", name="P-101")
    for _ in range(30):  # past the choice of columns and the headings
        page.keyboard.press("Tab")
        if link.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("P-101")


def test_another_form_does_not_drop_what_was_typed(page: Page, engine: Engine, watched: Watched) -> None:
    sign_in(page, engine)
    page.goto("/console/rules/policy")
    page.get_by_label("Min margin").fill("0.3")
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog") as asked:
        page.get_by_role("button", name="Dark").click()
    assert asked.value.type == "beforeunload"
    expect(page.get_by_label("Min margin")).to_have_value("0.3")


def test_the_overview_goes_on_by_itself(page: Page, engine: Engine, watched: Watched) -> None:
    sign_in(page, engine)
    product = engine.put_product()["product_id"]
    body = {"reason": "seen in the browser", "product_ids": [product]}
    assert engine.http.post("/api/v1/automation/pause", json=body).status_code == 200
    try:
        expect(page.get_by_text("seen in the browser")).to_be_visible()
    finally:
        engine.http.post("/api/v1/automation/resume", json=body)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(
    page: Page, engine: Engine, watched: Watched, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    found: list[str] = []
    for path in ["/console/sign-in", *PAGES]:
        if path == PAGES[0]:
            sign_in(page, engine)
        page.goto(path)
        violations = Axe().run(page).response["violations"]
        found += [f"{path}: {one['id']}: {one['nodes'][0]['html']}" for one in violations if one["impact"] in SERIOUS]
    assert found == []


@pytest.mark.parametrize("width", [360, 1024, 1920])
def test_no_page_is_wider_than_the_window(page: Page, engine: Engine, watched: Watched, width: int) -> None:
    sign_in(page, engine)
    page.set_viewport_size({"width": width, "height": 900})
    for path in PAGES:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_pages_work_without_scripts(browser: Browser, engine: Engine) -> None:
    with browser.new_context(base_url=str(engine.http.base_url), java_script_enabled=False) as context:
        page = context.new_page()
        sign_in(page, engine)
        page.goto("/console/products")
        page.get_by_label("Search").fill("P-101")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="P-101").click()
        page.get_by_role("button", name="Dark").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_row_of_a_rule_is_added_without_scripts_and_by_keyboard_alone(browser: Browser, engine: Engine) -> None:
    with browser.new_context(base_url=str(engine.http.base_url), java_script_enabled=False) as context:
        page = context.new_page()
        sign_in(page, engine)
        page.goto("/console/rules/policy")
        page.get_by_label("Min margin").fill("7 %")
        page.get_by_role("button", name="Add to categories").press("Enter")
        expect(page.get_by_label("Category").last).to_be_focused()
        page.keyboard.type("toys-by-keyboard")
        page.keyboard.press("Tab")
        page.keyboard.type("match")
        page.keyboard.press("Enter")  # plans the change, and presses no button of a row
        page.wait_for_url("**/console/plans/*")

        def changes(field: str) -> bool:
            page.reload()
            return page.locator("td code", has_text=field).is_visible()

        eventually(lambda: changes("categories.toys-by-keyboard"), "the plan has the new row")
        assert changes("min_margin")
