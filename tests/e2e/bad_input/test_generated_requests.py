"""Requests generated from the served document: none is an error of the engine."""

import json
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, reject, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok

from tests.support.engine import Engine

Operation = APIOperation[Any, Any, Any, Any]


TAKING_ANYTHING = ("getProduct", "getBreaker", "getOfferKeys", "live", "ready", "metrics")


TAKING_SHAPES = (
    "getPrice", "getPrices", "publishMarketEvent", "getMarketEvent", "recalculate", "getTask", "putProduct",
    "getPriceHistory", "createKey", "listKeys", "listAuditLog", "listProducts", "listTasks", "listMarketEvents",
    "getRulebook", "listRulebookVersions", "diffRulebooks", "listPriceListEntries", "listHolds", "listWebhooks",
    "getWebhook", "listPlans", "getPlan", "listPlanItems", "listPauses", "verifyOffer", "getImport",
)  # fmt: skip


# A stream that begins does not end. The others would end the other tests' tasks, keys, products and holds, or change
# how these are priced; `just fuzz openapi` generates them, too.
LEFT_OUT = {
    "abortTask", "revokeKey", "deleteProduct", "putPolicy", "putMarket", "deleteMarket", "putPriceList",
    "deletePriceList", "putPriceListEntries", "putPromotion", "deletePromotion", "putExchangeRates",
    "deleteExchangeRate", "approveHold", "refuseHold", "approveHolds", "refuseHolds", "putManualPrice",
    "streamPriceChanges", "putWebhook", "deleteWebhook", "testWebhook",
    "replayWebhook", "resumeWebhook", "rotateWebhookSecret",
    "deleteManualPrice", "pauseAutomation", "resumeAutomation", "resetBreaker", "createImport",
    "revokeOffers", "createPlan", "applyImport", "applyPlan", "discardPlan", "createUndo",
}  # fmt: skip


GENERATED = [
    *((name, GenerationMode.POSITIVE) for name in (*TAKING_ANYTHING, *TAKING_SHAPES)),
    *((name, GenerationMode.NEGATIVE) for name in TAKING_SHAPES),
]


EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def operations(engine: Engine) -> dict[str, Operation]:
    schema = schemathesis.openapi.from_dict(engine.http.get("/docs/openapi.json").json())
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return {str(operation.definition.raw["operationId"]): operation for operation in found}


@pytest.mark.long
@pytest.mark.parametrize("has_key", [False, True], ids=["without-a-key", "with-a-key"])
@pytest.mark.parametrize(("name", "mode"), GENERATED)
def test_no_generated_request_is_an_error_of_the_engines(
    engine: Engine, operations: dict[str, Operation], name: str, mode: GenerationMode, has_key: bool
) -> None:
    """Requests made from the served document, right ones and wrong ones: errors are problem documents."""
    operation = operations[name]
    http = engine.http if has_key else engine.anonymous

    @given(case=operation.as_strategy(generation_mode=mode))
    @EXAMPLES
    def probe(case: Case[Any]) -> None:
        request = case.as_transport_kwargs(base_url=str(engine.http.base_url))
        headers = {
            name: value.encode() for name, value in request["headers"].items() if name.lower() != "authorization"
        }
        try:
            response = http.request(
                request["method"],
                request["url"],
                params=request.get("params"),
                headers=headers,
                content=body_of(request),
            )
        except httpx.LocalProtocolError:
            # The client sends no such header: `just fuzz` does.
            reject()
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            assert response.headers["content-type"].startswith("application/problem+json")

    probe()


def body_of(request: dict[str, Any]) -> bytes | None:
    if "json" in request:
        return json.dumps(request["json"]).encode()
    data = request.get("data")
    return data.encode() if isinstance(data, str) else data


def test_every_operation_is_generated_or_left_out(operations: dict[str, Operation]) -> None:
    assert set(operations) == {name for name, _ in GENERATED} | LEFT_OUT
