"""The figures of what waits: an event that waits for its product is no sign that the workers are late."""

from collections.abc import Callable

import msgspec

from shared.jobs import backlog_metrics
from shared.market_events import inbox
from shared.market_events.records import EventRecord
from shared.postgres import pools
from shared.settings import Settings
from tests.integration.catalogue_examples import NOON
from tests.integration.importing_examples import with_rules

_PRODUCT = "INSERT INTO products (product_id, name, category, currency, base_price) VALUES (%s, 'A', 'a', 'USD', 1)"


def test_an_event_before_its_product_waits_and_is_not_late(migrated_database: Callable[[], Settings]) -> None:
    with pools.connect(with_rules(migrated_database()), "tests") as conn:
        conn.execute(_PRODUCT, ["known"])
        for product_id, minutes in (("not-yet", 30), ("known", 10)):
            record = EventRecord(source="erp", id=product_id, type="demand_changed", occurred_at=NOON)
            inbox.record(conn, [msgspec.structs.replace(record, product_id=product_id)])
            conn.execute(
                "UPDATE market_events SET recorded_at = now() - make_interval(mins => %s) WHERE id = %s",
                [minutes, product_id],
            )
        found = backlog_metrics.read(conn)
        assert found["events"] == 2
        assert 590 < found["events_age_s"] < 1_200
        conn.execute("UPDATE market_events SET status = 'applied' WHERE id = 'known'")
        found = backlog_metrics.read(conn)
        assert (found["events"], found["events_age_s"]) == (1, 0)
