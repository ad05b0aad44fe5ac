"""The console's pages: shown with the scope that they need, searched, and acted on by forms."""

import gzip
import re
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.console.browsing import visitor
from tests.support.engine import Engine

PAGES = [
    "/console",
    "/console/products",
    "/console/products/P-100",
    "/console/rules",
    "/console/rules/policy",
    "/console/rules/market/NY",
    "/console/rules/promotion/new",
    "/console/rules/versions",
    "/console/plans",
    "/console/holds",
    "/console/events",
    "/console/try?product_id=P-100&user_location=NY",
    "/console/jobs",
]
# In bytes, gzipped, with all that the page loads.
LARGEST = 100_000


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_complete_strict_and_small(engine: Engine, path: str) -> None:
    with visitor(engine, "catalogue:read") as person:
        answer = person.http.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert {"default-src 'none'", "script-src 'self'", "form-action 'self'"} <= set(policy.split("; "))
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", answer.text)
        named = re.findall(r'(?:src|href)="(/assets/console/[^"]+)"', answer.text)
        assert len(named) == 4
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', answer.text)
        sent = len(gzip.compress(answer.content))
        for address in named:
            asset = person.http.get(address)
            assert (asset.status_code, "immutable" in asset.headers["cache-control"]) == (200, True)
            sent += int(asset.headers["content-length"])
        assert sent < LARGEST


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_its_scope(engine: Engine, path: str) -> None:
    with visitor(engine, "events:write") as person:
        assert "this needs the scope catalogue:read" in person.page(path, status=403)


def test_the_navigation_and_the_buttons_appear_with_their_scopes(engine: Engine) -> None:
    with visitor(engine, "catalogue:read") as person:
        page = person.page("/console/products/P-100")
        assert 'href="/console/products"' in page
        assert ">Publish<" not in page
        assert "Recalculate now" not in page
        for action in ("manual-price", "end-manual-price", "pause", "resume", "recalculate"):
            answer = person.send(f"/console/products/P-100/{action}", price="1", reason="r")
            assert answer.status_code == 403, action
    with visitor(engine, "catalogue:read", "catalogue:write", "operate") as person:
        page = person.page("/console/products/P-100")
        assert ">Publish<" in page
        assert "Recalculate now" in page


def test_products_are_found_by_words_category_and_tag(engine: Engine) -> None:
    mark = uuid4().hex[:8]
    for number in range(3):
        engine.put_product(
            product_id=f"L/{mark} {number}", name=f"Käsereibe {mark}", category=f"c-{mark}", tags=["red", f"t{number}"]
        )
    with visitor(engine, "catalogue:read") as person:
        queries: list[dict[str, Any]] = [
            {"q": f"käse {mark}"},
            {"q": f"L/{mark}"},
            {"category": f"c-{mark}"},
            {"q": mark, "tag": "red"},
        ]
        for query in queries:
            assert person.page("/console/products", **query).count(f'href="/console/products/L%2F{mark}') == 3, query
        assert person.page("/console/products", q=f"{mark} t1").count(f'href="/console/products/L%2F{mark}') == 1
        assert "No product fits" in person.page("/console/products", q=f"{mark} kettle")
        assert "Käsereibe" in person.page(f"/console/products/L%2F{mark}%200")


def test_products_are_paged_and_the_address_keeps_the_filters(engine: Engine) -> None:
    with visitor(engine, "catalogue:read") as person:
        first = person.page("/console/products", q="p-")
        [following] = re.findall(r'href="(/console/products\?[^"]*cursor=[^"]*)"', first)
        second = person.page(following)
        assert "q=p-" in following
        assert not set(re.findall(r">(P-\d+)<", first)) & set(re.findall(r">(P-\d+)<", second))


def test_what_a_list_shows_is_downloaded_without_formulas(engine: Engine) -> None:
    mark = uuid4().hex[:8]
    for number, name in enumerate((f'=HYPERLINK("x") {mark}', f"Lamp, {mark}")):
        engine.put_product(product_id=f"E-{mark}-{number}", name=name)
    with visitor(engine, "catalogue:read") as person:
        answer = person.http.get("/console/exports/products.csv", params={"q": mark})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        head, first, second = answer.text.splitlines()
        assert head.startswith("product_id,name,")
        assert first.startswith(f'E-{mark}-0,"\'=HYPERLINK(""x"") {mark}",')
        assert second.startswith(f'E-{mark}-1,"Lamp, {mark}",')


def test_a_price_is_shown_for_a_context_with_its_explanation(engine: Engine) -> None:
    query: dict[str, Any] = {"user_location": "NY", "quantity": 20, "is_prime_member": "true"}
    asked = engine.price("P-100", user_location="NY", quantity=20, is_prime_member=True)
    with visitor(engine, "catalogue:read", "prices:read") as person:
        page = person.page("/console/products/P-100", **query)
        assert f'<span class="big">{asked["final_price"]}</span>' in page
        assert "market NY" in page
        wrong = person.page("/console/products/P-100", quantity="many")
        assert 'aria-invalid="true"' in wrong


def test_a_manual_price_is_published_and_ended(engine: Engine) -> None:
    product = engine.put_product()["product_id"]
    path = f"/console/products/{product}"
    with visitor(engine, "admin") as person:
        refused = person.send(f"{path}/manual-price", price="many", reason="a clearance")
        assert refused.status_code == 422
        assert 'value="a clearance"' in refused.text
        assert 'value="many"' in refused.text
        done = person.send(f"{path}/manual-price", price="80.00", reason="a clearance")
        assert "The manual price is published" in person.page(done.headers["location"])
        assert engine.price(product, user_location="CHI")["final_price"] == "80.00"
        person.send(f"{path}/end-manual-price")
        assert "a clearance" not in person.page(path)


def test_automation_is_paused_and_goes_on(engine: Engine) -> None:
    product = engine.put_product()["product_id"]
    path = f"/console/products/{product}"
    with visitor(engine, "admin") as person:
        assert person.send(f"{path}/pause", reason="stocktaking").status_code == 303
        assert "stocktaking" in person.page(path)
        overview = person.page("/console")
        assert f'<a href="{path}">Automation is paused for {product}</a>' in overview
        assert person.send(f"{path}/resume").status_code == 303
        assert "stocktaking" not in person.page(path)
        assert person.send(f"{path}/recalculate").status_code == 303


def test_a_product_that_does_not_exist_is_a_page(engine: Engine) -> None:
    with visitor(engine, "catalogue:read") as person:
        assert "no product 'NOBODY'" in person.page("/console/products/NOBODY", status=404)


def test_the_theme_is_kept_in_a_cookie(engine: Engine) -> None:
    with visitor(engine, "catalogue:read") as person:
        person.send("/console/theme", theme="dark")
        assert '<html lang="en" data-theme="dark">' in person.page("/console")


def test_the_list_is_sorted_with_chosen_columns_and_so_is_its_file(engine: Engine) -> None:
    mark = uuid4().hex[:8]
    for number, name in enumerate(("Lamp", "Bowl", "Cup")):
        engine.put_product(product_id=f"S-{mark}-{number}", name=f"{name} {mark}", brand="Acme", tags=["new", "red"])
    query: dict[str, Any] = {"q": mark, "sort": "name", "down": "true", "column": ["name", "brand", "tags"]}
    with visitor(engine, "catalogue:read") as person:
        page = person.page("/console/products", **query)
        assert re.findall(rf">(\w+) {mark}<", page) == ["Lamp", "Cup", "Bowl"]
        heads = re.findall(r"<th[^>]*>(.*?)</th>", page)
        assert [re.sub("<[^>]*>", "", head) for head in heads] == ["Product", "Name", "Brand", "Tags"]
        [file] = re.findall(r'href="(/console/exports/products.csv\?[^"]*)"', page)
        assert person.http.get(file).text.splitlines() == [
            "product_id,name,brand,tags",
            *(
                f"S-{mark}-{number},{name} {mark},Acme,new|red"
                for number, name in ((0, "Lamp"), (2, "Cup"), (1, "Bowl"))
            ),
        ]
        [turned] = re.findall(r'href="(/console/products\?[^"]*sort=name[^"]*)">Name', page)
        assert "down" not in turned
        person.page("/console/products", status=422, sort="published_price")
