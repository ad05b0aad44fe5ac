"""Arrays in PostgreSQL's binary format."""

import pytest
from psycopg import DataError

from shared.postgres import arrays
from shared.postgres.pools import Pool

TEXTS = ["", '{"a": "b\\n"}', "NULL", "x,y", "Käse 🧀", "{}", 'back\\slash "quoted"', "é" * 3000]
BLOBS = [b"", None, b"\x00\xff'\\", b"x" * 3000]


def test_postgresql_reads_what_was_given(pool: Pool) -> None:
    query = "SELECT %(texts)s::text[] AS texts, %(blobs)s::bytea[] AS blobs"
    with pool.connection() as conn:
        for texts, blobs in ((TEXTS, BLOBS), ([], [])):
            values = {"texts": arrays.Documents(texts), "blobs": arrays.Blobs(blobs)}
            assert conn.execute(query, values).fetchone() == {"texts": texts, "blobs": blobs}


def test_a_nul_is_refused(pool: Pool) -> None:
    with pool.connection() as conn, pytest.raises(DataError):
        conn.execute("SELECT %s::text[]", [arrays.Documents(["a\0b"])])
