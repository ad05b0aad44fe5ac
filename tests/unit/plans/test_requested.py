"""A requested plan: wrong queries of the shop's own are refused at once, with their path."""

from typing import Any

import msgspec
import pytest

from shared.errors import InvalidInput
from shared.plans.requested import NewPlan
from shared.rulebook import documents


@pytest.mark.parametrize(
    ("queries", "path"),
    [
        ([{"name": "all", "currency": "XXY"}], "$.queries[0].currency"),
        ([{"name": "all"}, {"name": "ten", "quantity": 10}, {"name": "all"}], "$.queries[2].name"),
        ([{"name": "all", "volume": "-1"}], "$.queries[0].volume"),
    ],
)
def test_a_wrong_query_is_refused_with_its_path(queries: list[dict[str, Any]], path: str) -> None:
    body = msgspec.json.encode({"changes": [{"promotion": {"id": "spring", "percent": "20"}}], "queries": queries})
    with pytest.raises(InvalidInput) as refused:
        documents.read(body, NewPlan)
    assert refused.value.path == path
