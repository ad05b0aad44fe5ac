"""The feed is pulled by the clock, with its key, through processes of its own: `just test-long`."""

from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support import private_stack
from tests.support.waiting import eventually

KEY = "feed-4f0c9d1b7a"
EVERY_S = "2"
HOUR_S = 3_600


@pytest.mark.long
def test_prices_follow_the_feed_without_a_request_and_its_key_is_told_to_nobody_else() -> None:
    with private_stack.running(PRICING_FEED_EVERY_S=EVERY_S, PRICING_FEED_KEY=KEY) as private:
        engine, feed = private.engine, private.feed
        product_id = str(engine.put_product(strategy="match")["product_id"])
        quote: dict[str, object] = {"product_id": product_id, "competitor": "globex", "price": "95", "currency": "USD"}
        feed.quotes[product_id] = [quote]
        eventually(lambda: engine.price(product_id, user_location="CHI")["final_price"] == "95.00", "it is followed")
        feed.quotes[product_id] = [quote | {"price": "91"}]
        eventually(lambda: engine.price(product_id, user_location="CHI")["final_price"] == "91.00", "it is followed")

        headers = {name.lower(): value for name, value in feed.requests[-1][0].items()}
        assert headers["authorization"] == f"Bearer {KEY}"
        logs = "".join(path.read_text() for path in Path(engine.home, "logs").glob("*.log"))
        assert KEY not in f"{logs}{private.collector.spans()}"
        page = f"http://127.0.0.1:{engine.settings.listener_metrics_port}/metrics"
        # The listener reads the ages now and then.
        age = eventually(lambda: age_of_feed(metrics(page)), "the age of the feed's newest signal")
        assert age < HOUR_S
        assert "pricing_signal_max_age_seconds 604800.0" in metrics(page)


def metrics(page: str) -> str:
    return httpx.get(page, timeout=30, trust_env=False).raise_for_status().text


def age_of_feed(page: str) -> float | None:
    found = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    kind = {"kind": "competitor", "source": "feed"}
    ages = [one.value for one in found if one.name == "pricing_newest_signal_age_seconds" and one.labels == kind]
    return ages[0] if ages else None
