"""The feed is pulled by the clock, with its key, through processes of its own: `just test-long`."""

from pathlib import Path

import pytest

from tests.support import private_stack
from tests.support.waiting import eventually

KEY = "feed-4f0c9d1b7a"
EVERY_S = "2"


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
        [row] = engine.sql("SELECT newest_at > clock_timestamp() - interval '1 hour' AS is_new FROM signal_sources"
                           " WHERE (kind, source) = ('competitor', 'feed')")  # fmt: skip
        assert row["is_new"]
