"""A file that is refused imports nothing, and is refused with a sentence."""

import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from shared.errors import NotFound
from shared.importing import importer, source
from shared.importing.columns import Columns, RefusedFile, parse_map
from shared.postgres import pools
from shared.postgres.pools import Pool
from shared.pricing.rulebook import NEUTRAL
from shared.rulebook import store as rulebook
from shared.rulebook.values import By
from shared.settings import Settings
from tests.integration.catalogue_examples import new_id
from tests.integration.importing.import_results import Writing, stored
from tests.integration.importing_examples import HEADER, NO_MAP, generated, imported, with_rules

NewDatabase = Callable[[], Settings]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (HEADER.encode(), "no rows"),
        (f"{HEADER}\n\n\n".encode(), "no rows"),
        (b"name,currency\nKettle,USD\n", "no column product_id"),
        (b"A-1,Kettle,USD,1.00\nA-2,Kettle,USD,1.00\n", "no column product_id"),
        (f"{HEADER},colour\nA-1,Kettle,USD,1.00,red\n".encode(), "unknown column 'colour'"),
        (f",{HEADER}\nred,A-1,Kettle,USD,1.00\n".encode(), "column 1 has no name"),
        (f"{HEADER},base_price\nA-1,Kettle,USD,1.00,2.00\n".encode(), "the header has column 'base_price' twice"),
        (f"{HEADER},Läufer\n".encode("utf-16"), "unknown column 'Läufer'"),
        (f"{HEADER}\nA-1,Kettle,USD,1.00\n".encode("utf-16")[:-1], "not UTF-16 text; --encoding"),
        (f"{HEADER},Base Price\nA-1,Kettle,USD,1.00,2.00\n".encode(), "the header has column 'base_price' twice"),
        (b"product_id,nam,currency,base_price\nA-1,Kettle,USD,1.00\n", "did you mean name?"),
        (f"{HEADER},catgory\nA-1,Kettle,USD,1.00,home\n".encode(), "did you mean category?"),
        (bytes(100), "binary"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not UTF-8 text; --encoding"),
        (b'[{"product_id": "A-1"}]', "a JSON array"),
        (b"\x1f\x8b\x08\x00" + bytes(range(256)), "cut short or damaged"),
        (gzip.compress(f"{HEADER}\nA-1,Kettle,USD,1.00\n".encode(), mtime=0)[:-9], "cut short or damaged"),
        (gzip.compress(b"", mtime=0), "empty"),
        (f"{HEADER}\n{'x' * 2_000_000}".encode(), "line 2 has more than"),
    ],
)
def test_what_is_no_such_file_is_refused_with_a_sentence(pool: Pool, file: Writing, content: bytes, said: str) -> None:
    done = imported(pool, file(content))
    assert (done.code, len(done.said.splitlines()), done.rejects) == (2, 1, ""), done
    assert said in done.said
    assert done.said.endswith("; nothing was imported\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [("name=title", "--map names no column product_id"), ("product_id=x,name=y,currency=z,base_price=w", "'x'")],
)
def test_a_map_that_does_not_fit_is_refused(pool: Pool, file: Writing, text: str, said: str) -> None:
    done = imported(pool, file(f"{HEADER}\nA-1,Kettle,USD,1.00\n"), Columns(parse_map(text)))
    assert done.code == 2
    assert said in done.said


def test_a_folder_and_a_missing_file_are_refused_with_a_sentence(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, said in (("folder", "directory"), ("nothing.csv", "No such file")):
        done = imported(pool, tmp_path / name)
        assert (done.code, said in done.said) == (2, True), done


def test_a_file_that_somebody_still_writes_is_refused(pool: Pool, file: Writing) -> None:
    product_id = new_id()
    path = file(f"{HEADER}\n{product_id},Kettle,USD,1.00\n")
    for when in ("while it is read", "while it is written"):

        def append() -> None:
            with path.open("a") as late:
                late.write(f"{new_id()},Late,USD,1.00\n")

        with (
            pytest.raises(RefusedFile, match="still writing"),
            pool.connection() as conn,
            source.opened(path) as opened,
        ):
            if when == "while it is read":
                append()
            writes = append if when == "while it is written" else lambda: None
            importer.run(conn, opened, NO_MAP, rejects=path.with_name("rejects"), writes=writes)
    with pytest.raises(NotFound):
        stored(pool, product_id)


def test_rejects_are_not_written_over_the_file_nor_where_nobody_can(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text(f"{HEADER}\nA-1,Kettle,USD,x\n")
    for rejects, said in ((path, "over it"), (tmp_path / "no" / "file.csv", "cannot be written")):
        done = imported(pool, path, rejects=rejects)
        assert (done.code, said in done.said) == (2, True), done
    assert path.read_text().startswith(HEADER)


def test_a_policy_that_is_replaced_meanwhile_refuses_the_import(migrated_database: NewDatabase, tmp_path: Path) -> None:
    """Its run would not see products that are not committed yet."""
    settings = with_rules(migrated_database())
    path = generated(tmp_path / "products.csv", 3)

    def replace() -> None:
        with pools.connect(settings, "tests") as other:
            other_policy = msgspec.structs.replace(NEUTRAL.policy, max_over_list=Decimal(3))
            rulebook.publish(other, msgspec.structs.replace(NEUTRAL, policy=other_policy), By("test", "policy"))

    with (
        pytest.raises(RefusedFile, match="policy"),
        pools.connect(settings, "tests") as conn,
        source.opened(path) as opened,
    ):
        importer.run(conn, opened, NO_MAP, rejects=tmp_path / "rejects", writes=replace)
