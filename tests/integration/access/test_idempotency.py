"""Idempotency keys: one request executes, the others get its answer; crashed and expired ones make room."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import msgspec
import pytest

from shared.access import idempotency
from shared.access.idempotency import Answer, Known, Write
from shared.postgres.pools import Pool

ANSWER = Answer(200, [("content-type", "application/json"), ("etag", '"7"')], b'{"version":7}\xff\x00')


@pytest.fixture
def write() -> Write:
    return Write(uuid4().hex, "/api/v1/products/P-1", "key-1", b"digest")


def claim(pool: Pool, write: Write) -> int | Known:
    with pool.connection() as conn:
        return idempotency.claim(conn, write)


def keep(pool: Pool, write: Write, number: int, answer: Answer = ANSWER) -> None:
    with pool.connection() as conn:
        idempotency.keep(conn, write, number, answer)


def change(pool: Pool, write: Write, column: str) -> None:
    """Let the lease or the day of a row be over."""
    with pool.connection() as conn:
        query = f"UPDATE idempotency_keys SET {column} = clock_timestamp() WHERE caller = %s"
        conn.execute(query.encode(), [write.caller])


def test_of_many_at_once_one_executes(pool: Pool, write: Write) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: claim(pool, write), range(8)))
    assert [each for each in found if each == 1] == [1]
    assert [each for each in found if each == Known(b"digest", None)] == [Known(b"digest", None)] * 7


def test_the_answer_is_kept_byte_by_byte(pool: Pool, write: Write) -> None:
    assert claim(pool, write) == 1
    keep(pool, write, 1)
    for each in (write, msgspec.structs.replace(write, fingerprint=b"another")):
        assert claim(pool, each) == Known(b"digest", ANSWER)


@pytest.mark.parametrize("field", ["caller", "path", "key"])
def test_another_caller_path_or_key_is_another_write(pool: Pool, write: Write, field: str) -> None:
    assert claim(pool, write) == 1
    assert claim(pool, msgspec.structs.replace(write, **{field: uuid4().hex})) == 1


def test_a_crashed_write_is_taken_over_by_the_same_request_only(pool: Pool, write: Write) -> None:
    assert claim(pool, write) == 1
    change(pool, write, "lease_until")
    assert claim(pool, msgspec.structs.replace(write, fingerprint=b"another")) == Known(b"digest", None)
    assert claim(pool, write) == 2
    assert claim(pool, write) == Known(b"digest", None)


def test_a_writer_that_lost_its_claim_keeps_and_releases_nothing(pool: Pool, write: Write) -> None:
    assert claim(pool, write) == 1
    change(pool, write, "lease_until")
    assert claim(pool, write) == 2
    keep(pool, write, 1, Answer(500, [], b"late"))
    with pool.connection() as conn:
        idempotency.release(conn, write, 1)
    assert claim(pool, write) == Known(b"digest", None)
    keep(pool, write, 2)
    assert claim(pool, write) == Known(b"digest", ANSWER)


def test_a_released_write_is_executed_again(pool: Pool, write: Write) -> None:
    assert claim(pool, write) == 1
    with pool.connection() as conn:
        idempotency.release(conn, write, 1)
    assert claim(pool, write) == 1


def test_after_a_day_a_key_is_new(pool: Pool, write: Write) -> None:
    assert claim(pool, write) == 1
    keep(pool, write, 1)
    change(pool, write, "expires_at")
    assert claim(pool, msgspec.structs.replace(write, fingerprint=b"another")) == 2


def test_expired_rows_are_purged_slice_by_slice_and_no_others(pool: Pool, write: Write) -> None:
    others = [msgspec.structs.replace(write, key=f"key-{number}") for number in range(5)]
    for each in others:
        claim(pool, each)
    with pool.connection() as conn:
        idempotency.purge(conn, 1_000)
        query = "UPDATE idempotency_keys SET expires_at = clock_timestamp() WHERE caller = %s AND key <> 'key-4'"
        conn.execute(query, [write.caller])
        assert [idempotency.purge(conn, 3) for _ in range(3)] == [3, 1, 0]
    assert claim(pool, others[4]) == Known(b"digest", None)
