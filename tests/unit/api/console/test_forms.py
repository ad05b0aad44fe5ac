"""Forms are read into the API's bodies, and a problem stands at its field."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from api.console.forms import Form
from api.routes.manual_prices import NewManualPrice
from shared.errors import InvalidInput


def test_a_form_is_read_as_the_body_of_the_api() -> None:
    form = Form.of_body(b"csrf=x&price=39.90&reason=a+clearance&until=2099-01-31T12%3A00&below_floor=true")
    assert form.read(NewManualPrice) == NewManualPrice(
        price=Decimal("39.90"),
        reason="a clearance",
        until=datetime(2099, 1, 31, 12, tzinfo=UTC),
        below_floor=True,
    )


def test_an_empty_field_is_left_out() -> None:
    assert Form.of_body(b"price=1&reason=r&until=").read(NewManualPrice).until is None


@pytest.mark.parametrize(
    ("body", "field"),
    [(b"price=1e3&reason=r", "price"), (b"price=1_0&reason=r", "price"), (b"price=&reason=r", "price"),
     (b"price=1&reason=r&until=tomorrow", "until"), (b"price=1&reason=" + b"r" * 501, "reason")],
)  # fmt: skip
def test_a_problem_stands_at_its_field_and_keeps_what_was_typed(body: bytes, field: str) -> None:
    form = Form.of_body(body)
    with pytest.raises(InvalidInput) as caught:
        form.read(NewManualPrice)
    failed = form.failed(caught.value)
    assert failed.error_of(field) or failed.error_of_none(["price", "reason", "until"])
    assert failed.text("reason") == form.text("reason")


def test_a_body_that_is_no_form_is_refused() -> None:
    with pytest.raises(InvalidInput):
        Form.of_body(b"\xff\xfe=1")
    with pytest.raises(InvalidInput):
        Form.of_body(b"&".join(b"a=1" for _ in range(11_000)))
