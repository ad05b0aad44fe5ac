"""What the edge answers price queries from."""

from decimal import Decimal

import pytest

from tests.support.pricing_examples import market, sheet
from tests.unit.api.price_examples import Reader


@pytest.fixture
def reader() -> Reader:
    return Reader(sheet(product_id="P-1", published_price=Decimal(100)), {"DEFAULT": market(), "NY": market()})
