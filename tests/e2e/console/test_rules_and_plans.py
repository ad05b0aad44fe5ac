"""Rules as forms: each change becomes a plan, which is looked at, applied, and taken back."""

import json
import re
from html import unescape
from uuid import uuid4

from tests.e2e.console.browsing import Visitor, visitor
from tests.support.engine import Engine
from tests.support.waiting import eventually


def plan_of(person: Visitor, location: str, status: str) -> str:
    """The path of the plan that a form has made, once it has this status."""
    path = location.partition("?")[0]
    eventually(lambda: f'<span class="state {status}">' in person.page(path), f"the plan is {status}")
    return path


def test_a_promotion_is_planned_looked_at_applied_and_taken_back(engine: Engine) -> None:
    name, category = f"sale-{uuid4().hex[:8]}", f"c-{uuid4().hex[:8]}"
    product_id = str(engine.put_product(category=category)["product_id"])
    fields = {
        "part_kind": "promotion", "part_key": "", "id": name, "percent": "20", "exclusive": "false", "of": "price",
        "applies_to": "yes", "applies_to.categories": category, "priority": "3", "zone": "UTC",
    }  # fmt: skip
    with visitor(engine, "admin") as person:
        refused = person.send("/console/rules/plan", **fields | {"percent": "200"})
        assert (refused.status_code, f'value="{name}"' in refused.text) == (422, True)
        assert re.search(r'<input id="percent"[^>]*aria-invalid="true"', refused.text)
        broken = person.send("/console/rules/plan", **fields | {"conditions": "", "conditions.0": ""})
        assert re.search(r'<input id="conditions.0.attribute"[^>]*aria-invalid="true" autofocus', broken.text)

        made = person.send("/console/rules/plan", **fields)
        plan = plan_of(person, made.headers["location"], "ready")
        assert engine.price(product_id, user_location="CHI")["final_price"] == "100.00"
        page = person.page(plan)
        assert f"Promotion {name}" in page
        assert "Largest falls of public prices" in page
        assert f"<code>promotions.{name}</code>" in page
        assert product_id in person.page(f"{plan}/prices?order=falls")
        assert person.send(f"{plan}/apply").status_code == 303
        plan_of(person, plan, "applied")
        eventually(lambda: engine.price(product_id, user_location="CHI")["final_price"] == "80.00", "it is in force")
        rules = person.page("/console/rules")
        assert f'href="/console/rules/promotion/{name}"' in rules
        assert 'value="20"' in person.page(f"/console/rules/promotion/{name}")
        newest = max(int(version) for version in re.findall(r"other=(\d+)", rules))
        assert f"promotions.{name}" in person.page(f"/console/rules/diff?one={newest - 1}&other={newest}")

        def take_back() -> bool:
            undone = person.send("/console/undo", plan=plan.rpartition("/")[2])
            answer = person.send(f"{plan_of(person, undone.headers['location'], 'ready')}/apply")
            assert answer.status_code == 303 or "Make the plan again" in answer.text
            return answer.status_code == 303

        # A recalculation follows the application; a plan that was made before its end is out of date.
        eventually(take_back, "the undo is applied")
        eventually(lambda: engine.price(product_id, user_location="CHI")["final_price"] == "100.00", "it is taken back")
        person.page(f"/console/rules/promotion/{name}", status=404)


def test_the_policy_is_a_form_and_a_document_that_say_the_same(engine: Engine) -> None:
    with visitor(engine, "rules:write", "catalogue:read") as person:
        form = person.page("/console/rules/policy")
        assert "The floor is cost" in form
        written = re.search(
            r"<textarea id=\"document\"[^>]*>(.*?)</textarea>", person.page("/console/rules/policy?as=json"), re.S
        )
        assert written
        document = json.loads(written[1])
        assert f'name="max_over_list" type="text" value="{document["max_over_list"]}"' in form
        sent = {"part_kind": "policy", "part_key": "", "as": "json"}
        wrong = person.send("/console/rules/plan", **sent, document=json.dumps(document | {"min_margin": "nothing"}))
        assert (wrong.status_code, "$.min_margin" in wrong.text) == (422, True)
        assert "<h1>Policy</h1>" in wrong.text
        assert 'href="/console/rules/policy?as=json"' in wrong.text
        unsent = {"part_kind": "policy", "seen": "1", "min_margin": "much", "categories": "", "add": "categories"}
        longer = person.send("/console/rules/plan", **unsent)
        assert (longer.status_code, 'name="min_margin" type="text" value="much"' in longer.text) == (200, True)
        assert re.search(r'<input id="categories.0"[^>]* value=""[^>]* autofocus', longer.text)
        assert 'name="seen" value="1"' in longer.text, "a change of another person since then is still found"
        made = person.send("/console/rules/plan", **sent, document=json.dumps(document))
        plan = plan_of(person, made.headers["location"], "ready")
        assert person.send(f"{plan}/discard").status_code == 303
        assert "discarded" in person.page(plan)
    with visitor(engine, "catalogue:read") as person:
        assert "Plan the change" not in person.page("/console/rules/policy")
        assert person.send("/console/rules/plan", **sent, document="{}").status_code == 403


def test_a_rule_that_another_one_changed_meanwhile_is_shown_with_the_difference(engine: Engine) -> None:
    name, path = f"sale-{uuid4().hex[:8]}", "/console/rules/plan"
    promotion = {"id": name, "percent": "10", "applies_to": {"categories": [name]}}
    assert engine.http.put(f"/api/v1/promotions/{name}", json=promotion).status_code in {200, 201}
    with visitor(engine, "rules:write", "catalogue:read") as person:
        form = person.page(f"/console/rules/promotion/{name}")
        [seen] = re.findall(r'name="seen" value="(\d+)"', form)
        assert engine.http.put(f"/api/v1/promotions/{name}", json=promotion | {"percent": "15"}).status_code == 200
        fields = {
            "part_kind": "promotion", "part_key": name, "seen": seen, "percent": "12", "exclusive": "false",
            "of": "price", "applies_to": "yes", "applies_to.categories": name, "priority": "0", "zone": "UTC",
        }  # fmt: skip
        refused = person.send(path, **fields)
        assert (refused.status_code, "changed since you opened it" in refused.text) == (409, True)
        difference = r"<code>percent</code></td><td[^>]*>10</td><td[^>]*>15</td>"
        assert re.search(difference, unescape(refused.text))
        assert 'value="12"' in refused.text
        [now] = re.findall(r'name="seen" value="(\d+)"', refused.text)
        made = person.send(path, **fields | {"seen": now})
        plan = person.page(plan_of(person, made.headers["location"], "ready"))
        assert re.search(rf"<code>promotions.{name}.percent</code></td><td[^>]*>15</td><td[^>]*>12</td>", plan)
        other = fields | {"seen": seen, "part_key": "", "id": f"{name}-new"}
        assert person.send(path, **other).status_code == 303, "another part's change is no conflict"
    assert engine.http.delete(f"/api/v1/promotions/{name}").status_code == 200


def test_changes_as_json_are_planned_and_a_wrong_one_names_its_place(engine: Engine) -> None:
    with visitor(engine, "admin") as person:
        wrong = person.send("/console/plans", changes='[{"multiplier": {"market": "NY"}}]')
        assert (wrong.status_code, "multiplier" in wrong.text) == (422, True)
        made = person.send("/console/plans", changes='[{"multiplier": {"market": "NY", "multiplier": "1.2"}}]')
        plan = plan_of(person, made.headers["location"], "ready")
        assert "Multiplier NY" in person.page("/console/plans")
        person.send(f"{plan}/discard")
        assert person.send("/console/undo", since="2999-01-01T00:00").status_code in {303, 422}


def test_a_query_is_tried_with_its_code(engine: Engine) -> None:
    asked = engine.price("P-100", user_location="NY", quantity=3)
    with visitor(engine, "catalogue:read", "prices:read") as person:
        page = person.page("/console/try", product_id="P-100", user_location="NY", quantity="3")
        assert f'"final_price": "{asked["final_price"]}"' in page
        assert """-d '{"product_id":"P-100","user_location":"NY","quantity":3}'""" in page
        assert "no product 'NOPE'" in person.page("/console/try", status=404, product_id="NOPE")
        wrong = person.page("/console/try", status=422, product_id="P-100", quantity="many")
        assert 'aria-invalid="true"' in wrong
