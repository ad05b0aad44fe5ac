"""Holds: a target that is too far waits with its old price, and a person's answer ends it."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from shared.errors import AlreadyEnded, NotFound
from shared.postgres.pools import Pool
from shared.prices import hold_answers, holds, published
from shared.prices.history import price_changes
from shared.prices.hold_answers import Answer
from shared.prices.holds import HoldFilter, HoldStatus, HoldView
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import add_competitor, new_id, product, task_cause, write

WHY = Answer("a clearance", "shop")


@pytest.fixture
def held_id(pool: Pool, policy: ActivePolicy) -> str:
    """A product of 100.00 USD whose target of 55.00 waits: the policy holds moves above 40 %."""
    product_id = new_id()
    write(pool, strict(policy), product(product_id))
    offer(pool, policy, product_id, "55.00")
    return product_id


def strict(policy: ActivePolicy) -> ActivePolicy:
    return msgspec.structs.replace(policy, policy=msgspec.structs.replace(policy.policy, hold_above=Decimal("0.4")))


def offer(pool: Pool, policy: ActivePolicy, product_id: str, price: str) -> None:
    with pool.connection() as conn:
        add_competitor(conn, product_id, price)
        published.reprice(conn, [product_id], strict(policy), task_cause())


def of(pool: Pool, product_id: str, status: HoldStatus = "open") -> list[HoldView]:
    with pool.connection() as conn:
        return holds.page(conn, status, HoldFilter(product_id=product_id), 10, None)


def price(pool: Pool, product_id: str) -> str:
    with pool.connection() as conn:
        return str(price_changes(conn, product_id, 1)[0].new_price)


def test_a_target_that_is_too_far_waits_and_the_price_stays(pool: Pool, held_id: str) -> None:
    [hold] = of(pool, held_id)
    assert (str(hold.price), str(hold.target), hold.code) == ("100.00", "55.00", "hold_above")
    assert price(pool, held_id) == "100.00"


@pytest.mark.parametrize("cost", ["90.00", "95.00"])
def test_a_target_below_cost_waits_where_the_policy_holds_it_and_the_sheet_keeps_the_cost(
    pool: Pool, policy: ActivePolicy, cost: str
) -> None:
    rules = msgspec.structs.replace(
        policy, policy=msgspec.structs.replace(policy.policy, below_cost="hold", max_step=Decimal(1))
    )
    product_id = new_id()
    write(pool, rules, product(product_id, cost=Decimal(cost)))
    with pool.connection() as conn:
        add_competitor(conn, product_id, "85.00")
        published.reprice(conn, [product_id], rules, task_cause())
    [hold] = of(pool, product_id)
    assert (str(hold.target), hold.code, price(pool, product_id)) == ("85.00", "below_cost", "100.00")
    with pool.connection() as conn:
        [sheet] = published.stored_sheets(conn, [product_id])
        assert Decimal(msgspec.json.decode(sheet.json)["floor"]) >= Decimal(cost) * Decimal("1.05")


@pytest.mark.parametrize("by", ["on everything", "electronics"])
def test_while_automation_observes_decisions_are_recorded_and_none_is_published(
    pool: Pool, policy: ActivePolicy, by: str
) -> None:
    mode: Any = "observe" if by == "on everything" else {by: "observe"}
    watching = msgspec.structs.replace(policy, policy=msgspec.structs.replace(policy.policy, automation=mode))
    product_id = new_id()
    write(pool, watching, product(product_id))
    with pool.connection() as conn:
        add_competitor(conn, product_id, "90.00")
        published.reprice(conn, [product_id], watching, task_cause())
        [sheet] = published.stored_sheets(conn, [product_id])
    shown = msgspec.json.decode(sheet.json)
    assert (price(pool, product_id), of(pool, product_id)) == ("100.00", [])
    assert [step["after"] for step in shown["steps"][-2:]] == ["90.00", "100.00"]
    assert shown["rejected"][-1]["code"] == "observed"
    write(pool, watching, product(product_id, base_price=Decimal(80), strategy="list_price"))
    assert price(pool, product_id) == "80.00"


def test_a_newer_target_replaces_it_and_keeps_its_id_and_beginning(
    pool: Pool, policy: ActivePolicy, held_id: str
) -> None:
    [before] = of(pool, held_id)
    offer(pool, policy, held_id, "52.00")
    [after] = of(pool, held_id)
    assert (after.hold_id, after.since, after.target) == (before.hold_id, before.since, Decimal(52))


def test_a_target_that_is_near_again_ends_it(pool: Pool, policy: ActivePolicy, held_id: str) -> None:
    offer(pool, policy, held_id, "90.00")
    assert not of(pool, held_id)
    assert [str(hold.target) for hold in of(pool, held_id, "replaced")] == ["55.00"]
    assert price(pool, held_id) == "90.00"


def test_an_approval_publishes_the_target_without_steps_and_is_kept_with_its_reason(pool: Pool, held_id: str) -> None:
    [hold] = of(pool, held_id)
    with pool.connection() as conn:
        hold_answers.approve(conn, [hold.hold_id], WHY)
        last = price_changes(conn, held_id, 1)[0]
    assert (str(last.new_price), last.cause, last.cause_id) == ("55.00", "approval", str(hold.hold_id))
    [ended] = of(pool, held_id, "approved")
    assert (ended.answer, ended.author, of(pool, held_id)) == ("a clearance", "shop", [])


def test_after_an_approval_automation_leaves_the_price_there(pool: Pool, policy: ActivePolicy, held_id: str) -> None:
    with pool.connection() as conn:
        hold_answers.approve(conn, [of(pool, held_id)[0].hold_id], WHY)
        published.reprice(conn, [held_id], strict(policy), task_cause())
    assert (price(pool, held_id), of(pool, held_id)) == ("55.00", [])


def test_a_refusal_keeps_the_price_until_the_next_decision(pool: Pool, policy: ActivePolicy, held_id: str) -> None:
    [hold] = of(pool, held_id)
    with pool.connection() as conn:
        assert [one.hold_id for one in hold_answers.refuse(conn, [hold.hold_id], WHY)] == [hold.hold_id]
    assert (of(pool, held_id), price(pool, held_id)) == ([], "100.00")
    offer(pool, policy, held_id, "54.00")
    [new] = of(pool, held_id)
    assert new.hold_id != hold.hold_id


def test_a_hold_ends_when_a_person_writes_the_product_and_cannot_be_approved_then(
    pool: Pool, policy: ActivePolicy, held_id: str
) -> None:
    [hold] = of(pool, held_id)
    write(pool, strict(policy), product(held_id, max_price=Decimal(80), strategy="list_price"))
    with pool.connection() as conn, pytest.raises(AlreadyEnded):
        hold_answers.approve(conn, [hold.hold_id], WHY)
    assert price(pool, held_id) == "80.00"
    with pool.connection() as conn, pytest.raises(NotFound):
        hold_answers.refuse(conn, [uuid4()], WHY)


def test_a_new_name_leaves_the_hold_as_it_is(pool: Pool, policy: ActivePolicy, held_id: str) -> None:
    before = of(pool, held_id)
    write(pool, strict(policy), product(held_id, name="Another", brand="Acme"))
    assert (of(pool, held_id), price(pool, held_id)) == (before, "100.00")


def test_a_hold_ends_by_itself_and_is_due_then(pool: Pool, policy: ActivePolicy, held_id: str) -> None:
    with pool.connection() as conn:
        [row] = conn.execute("SELECT next_due, state FROM prices WHERE product_id = %s", [held_id]).fetchall()
        assert row["next_due"] == of(pool, held_id)[0].expires_at
        ended = row["state"].replace(str(row["next_due"].year), "2001")
        conn.execute("UPDATE prices SET state = %s WHERE product_id = %s", [ended, held_id])
        conn.execute("UPDATE holds SET expires_at = since WHERE product_id = %s", [held_id])
        published.reprice(conn, [held_id], strict(policy), task_cause())
    assert [str(hold.target) for hold in of(pool, held_id, "expired")] == ["55.00"]
    assert price(pool, held_id) == "100.00"
