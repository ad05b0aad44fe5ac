"""What waits and what failed: holds are answered, events and jobs looked at and replayed, keys made and revoked."""

import re
from uuid import uuid4

from tests.e2e.console.browsing import visitor
from tests.support.engine import Engine
from tests.support.waiting import eventually


def test_held_prices_are_published_or_kept_several_at_once(engine: Engine) -> None:
    engine.sql("UPDATE breaker SET is_open = true")
    products = [str(engine.put_product(strategy="match")["product_id"]) for _ in range(3)]
    try:
        for product_id in products:
            data: dict[str, object] = {
                "product_id": product_id, "competitor": "acme", "price": "95.00", "currency": "USD"
            }  # fmt: skip
            engine.settled(engine.publish("competitor_price_changed", data)["event_id"])
        with visitor(engine, "operate", "catalogue:read") as person:
            overview = person.page("/console")
            assert "The breaker has stopped automation" in overview
            page = person.page("/console/holds")
            ids = {one: _hold(page, one) for one in products}
            refused = person.send("/console/holds/approve", reason="nothing is ticked")
            assert (refused.status_code, "tick at least one price" in refused.text) == (422, True)
            unsaid = person.send("/console/holds/approve", hold_ids=[ids[products[0]]])
            assert (unsaid.status_code, f'value="{ids[products[0]]}"' in unsaid.text) == (422, True)
            done = person.send("/console/holds/approve", hold_ids=[ids[one] for one in products[:2]], reason="fine")
            assert "2 targets were published" in person.page(done.headers["location"])
            assert {engine.price(one, user_location="CHI")["final_price"] for one in products[:2]} == {"95.00"}
            done = person.send("/console/holds/refuse", hold_ids=[ids[products[2]]], reason="no")
            assert "1 target was refused" in person.page(done.headers["location"])
            answered = person.page(f"/console/holds?status=refused&product_id={products[2]}")
            assert products[2] in answered
            done = person.send("/console/breaker/reset", reason="the feed is corrected")
            assert "Automation goes on" in person.page(done.headers["location"])
    finally:
        engine.sql("UPDATE breaker SET is_open = false")


def _hold(page: str, product_id: str) -> str:
    found = re.search(rf'value="([0-9a-f-]+)" aria-label="{re.escape(product_id)}"', page)
    assert found, product_id
    return found[1]


def test_an_event_that_was_rejected_is_shown_with_its_reason_and_accepted_again(engine: Engine) -> None:
    product_id = f"later-{uuid4().hex[:8]}"
    event_id = engine.broadcast("demand_changed", {"product_id": product_id, "index": "nonsense"})
    bare = engine.broadcast("demand_changed", {})
    with visitor(engine, "operate", "catalogue:read") as person:

        def listed() -> bool:
            page = person.page("/console/events?status=rejected")
            return event_id in page and bare in page

        eventually(listed, "both events are listed")
        for each in (event_id, bare):
            assert "Accept it again" in person.page(f"/console/events/{each}")
        page = person.page(f"/console/events/{event_id}")
        assert "index" in page
        assert "no spans of this trace" in page  # they are sent to a collector
        assert "Accept it again" in page
        [action] = re.findall(r'action="(/console/events/[^"]+/replay[^"]*)"', page)
        assert person.send(action).status_code == 422
        assert person.page("/console/events", product_id="P-NOBODY").count("No event fits") == 1


def test_a_job_is_shown_with_its_progress_and_its_undo(engine: Engine) -> None:
    task_id = engine.recalculate(product_ids=["P-100"])
    engine.ended(task_id)
    with visitor(engine, "operate", "catalogue:read") as person:
        assert f"/console/jobs/{task_id}" in person.page("/console/jobs", kind="recalculation")
        page = person.page(f"/console/jobs/{task_id}")
        assert "succeeded" in page
        assert person.send(f"/console/jobs/{task_id}/replay").status_code == 409
        assert person.send(f"/console/jobs/{task_id}/abort").status_code == 409


def test_a_key_is_made_shown_once_and_revoked(engine: Engine) -> None:
    name = f"crawler {uuid4().hex[:8]}"
    with visitor(engine, "admin") as person:
        refused = person.send("/console/access/keys", name=name)
        assert (refused.status_code, "tick at least one scope" in refused.text) == (422, True)
        assert f'value="{name}"' in refused.text
        made = person.send("/console/access/keys", name=name, scopes=["events:write", "prices:read"])
        [key] = re.findall(r'<p class="key"><code>([^<]+)</code>', made.text)
        assert key not in person.page("/console/access")
        [(key_id,)] = [tuple(row.values()) for row in engine.sql("SELECT id FROM api_keys WHERE name = %s", name)]
        done = person.send(f"/console/access/keys/{key_id}/revoke")
        assert f"The key {name} is revoked" in person.page(done.headers["location"])
        audit = person.page("/console/access/audit")
        assert "POST /console/access/keys" in audit
    with visitor(engine, "catalogue:read") as person:
        assert "this needs the scope admin" in person.page("/console/access", status=403)
        assert 'href="/console/access"' not in person.page("/console")
