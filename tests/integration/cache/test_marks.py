"""Many new sheets at once: marks where Redis has none, and the put for all others."""

import random

import pytest
import redis

from shared.cache import marks, sheets
from shared.cache.writer import SheetWriter
from shared.prices.new_versions import StoredSheet
from tests.integration.catalogue_examples import new_id, stored

TTL_S = 1000.0


@pytest.fixture(autouse=True)
def _lasting_marks(lasting_marks: None) -> None:
    """Versions of marks are looked at."""


def deleted(product_id: str) -> StoredSheet:
    return StoredSheet(product_id, 3, "")


def entries(cache: redis.Redis, ids: list[str]) -> list[tuple[bytes | None, int]]:
    """What Redis has, and the minutes for which it has it."""
    return [(cache.get(sheets.key(id_)), round(cache.pttl(sheets.key(id_)) / 60_000)) for id_ in ids]  # type: ignore[misc]


def test_many_sheets_are_put_as_each_by_itself(cache: redis.Redis) -> None:
    """Over nothing, a sheet, a mark, a negative entry, a later version, another epoch and a key of another type."""
    before = [None, b"2|{}", b"2|?", b"0|-", b"9|{}", b"9|?", b"1.9|{}", b"1.2|?", b"junk", b"", "a list"]
    cases = [(entry, epoch, is_deleted) for entry in before for epoch in (0, 1) for is_deleted in (False, True)] * 3
    random.Random(7).shuffle(cases)
    writer = SheetWriter(cache, cache, TTL_S)
    found = []
    for size in (marks.MANY, 1):
        ids = [new_id() for _ in cases]
        new: list[StoredSheet] = []
        for product_id, (entry, epoch, is_deleted) in zip(ids, cases, strict=True):
            if isinstance(entry, str):
                cache.rpush(sheets.key(product_id), entry)
            elif entry is not None:
                cache.set(sheets.key(product_id), entry, px=600_000)
            one = deleted(product_id) if is_deleted else stored(product_id, 3)
            new.append(StoredSheet(product_id, one.version, one.json, epoch))
        for start in range(0, len(new), size):
            writer.put(new[start : start + size])
        found.append(
            [
                (entry and entry.replace(product_id.encode(), b""), minutes if minutes < 12 else 16)
                for product_id, (entry, minutes) in zip(ids, entries(cache, ids), strict=True)
            ]
        )
    assert found[0] == found[1]
    assert len(cases) > 2 * marks.MANY


def test_sheets_that_nobody_asked_for_do_not_travel(cache: redis.Redis) -> None:
    ids = [new_id() for _ in range(marks.MANY)]
    cache.set(sheets.key(ids[0]), b"1|{}")
    new = [stored(product_id, 2) for product_id in ids]
    assert marks.without_marked(cache, new) == new[:1]
    assert [cache.get(sheets.key(product_id)) for product_id in ids[1:]] == [b"2|?"] * (marks.MANY - 1)
