"""What the edge answers price queries from."""

from decimal import Decimal

import pytest

from tests.support.pricing_examples import sheet
from tests.support.shop_examples import rulebook, terms_of, values
from tests.unit.api.price_examples import Reader


@pytest.fixture
def reader() -> Reader:
    """A product at 100.00 USD, 5 % less for members, in the markets DEFAULT and NY."""
    terms = terms_of(rulebook(markets={"DEFAULT": {}, "NY": {}}), values({"NY": "1"}))
    return Reader(sheet(product_id="P-1", published_price=Decimal(100)), terms)
