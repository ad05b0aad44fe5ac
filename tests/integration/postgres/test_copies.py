"""A copy of a migrated database is as the migrations leave one: in its own epoch 0."""

from collections.abc import Callable

import psycopg

from shared.settings import Settings

EPOCH = "SELECT identity, identity = database_identity(), number, current_epoch() FROM epoch"


def test_a_copy_begins_in_an_epoch_of_its_own(migrated_database: Callable[[], Settings]) -> None:
    identities = set()
    for settings in (migrated_database(), migrated_database()):
        with psycopg.connect(settings.database_url) as conn:
            [(identity, *epoch)] = conn.execute(EPOCH).fetchall()
        assert epoch == [True, 0, 0]
        identities.add(identity)
    assert len(identities) == 2
