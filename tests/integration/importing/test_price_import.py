"""Imports of prices: a file becomes all entries of a list at one instant, or nothing of it does."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared.catalogue import former_entries, price_lists
from shared.importing import entry_importer, exported_prices, source, tables
from shared.importing.columns import RefusedFile
from shared.importing.entry_importer import EntriesImported
from shared.importing.tables import Form
from shared.postgres import pools
from shared.postgres.pools import Conn, Pool
from shared.prices.history import price_changes
from shared.prices.new_versions import StoredSheet
from shared.pricing.entries import EntryInput
from shared.pricing.rulebook import PriceList
from shared.rulebook import revisions, store
from shared.rulebook.store import ActivePolicy, By
from shared.settings import Settings
from tests.integration.catalogue_examples import new_id, product, write
from tests.integration.importing_examples import command, environ
from tests.support.waiting import eventually


class Shop:
    """Products A-1 to A-9 in USD under ids of their own, and two lists: one of no currency, one in EUR."""

    def __init__(self, settings: Settings, pool: Pool, policy: ActivePolicy, folder: Path) -> None:
        self.settings, self.pool, self.folder, self.mark = settings, pool, folder, new_id()
        self.list_id, self.euro = f"l-{self.mark}", f"e-{self.mark}"
        self.rejects = folder / "rejects.csv"
        write(pool, policy, *(product(f"A-{at}-{self.mark}") for at in range(1, 10)))
        headers = PriceList(id=self.list_id, kind="override"), PriceList(id=self.euro, kind="override", currency="EUR")
        with pool.connection() as conn:
            store.change(
                conn, lambda book: replace(book, price_lists=(*book.price_lists, *headers)), By("tests", "lists")
            )

    def file(self, text: str) -> Path:
        """A file in which A-1 stands for that product's id."""
        path = self.folder / "prices.csv"
        for at in range(1, 10):
            text = text.replace(f"A-{at}", f"A-{at}-{self.mark}")
        path.write_text(text)
        return path

    def run(
        self, text: str, *, skip_bad: bool = False, list_id: str = "", published: Any = None, **options: Any
    ) -> EntriesImported:
        def publish(_: Conn, sheets: Sequence[StoredSheet]) -> None:
            if published:
                published(sheets)

        return self.load(self.file(text), skip_bad=skip_bad, list_id=list_id, publish=publish, **options)

    def load(
        self,
        path: Path,
        *,
        skip_bad: bool = False,
        list_id: str = "",
        publish: Any = lambda *_: None,
        **options: Any,
    ) -> EntriesImported:
        with pools.connect(self.settings, "tests") as conn, source.opened(path) as opened:
            return entry_importer.run(
                conn,
                opened,
                list_id or self.list_id,
                "tests",
                rejects=self.rejects,
                connect=lambda: pools.connect(self.settings, "tests"),
                publish=publish,
                announce=lambda _: None,
                settle_s=0,
                skip_bad=skip_bad,
                **options,
            )

    def listed(self) -> list[EntryInput]:
        with self.pool.connection() as conn:
            revision = revisions.in_force(conn, self.list_id)
            found = price_lists.page(conn, self.list_id, revision, None, 1_000, None)
        return [replace(entry, product_id=entry.product_id.removesuffix(f"-{self.mark}")) for _, entry in found]

    def rows(self) -> int:
        """The rows that are left once the listener has deleted those of former revisions."""
        with self.pool.connection() as conn:
            former_entries.purge(conn, 1_000_000, keeps_days=0)
            query = "SELECT count(*) AS n FROM price_list_entries WHERE list_id = %s"
            [row] = conn.execute(query, [self.list_id]).fetchall()
        return int(row["n"])

    def version(self) -> int:
        with self.pool.connection() as conn:
            return store.active(conn).version


@pytest.fixture
def shop(settings: Settings, pool: Pool, policy: ActivePolicy, tmp_path: Path) -> Shop:
    return Shop(settings, pool, policy, tmp_path)


def entry(product_id: str, **fields: Any) -> EntryInput:
    return msgspec.convert({"product_id": product_id, **fields}, EntryInput)


def test_a_file_replaces_all_entries_by_one_version_of_the_rulebook(shop: Shop) -> None:
    done = shop.run("product_id,amount\nA-1,80.5\nA-2,70\n")
    assert (done.rows, done.entries, done.products, done.exit_code) == (2, 2, 2, 0)
    before, sheets = shop.version(), list[StoredSheet]()
    lines = '{"product_id": "A-2", "amount": 71.5}\n{"product_id": "A-3", "customer_id": "c-1", "amount": "5"}\n'
    shop.run(lines, published=sheets.extend)
    assert shop.listed() == [entry("A-2", amount="71.5"), entry("A-3", amount="5", customer_id="c-1")]
    assert (shop.version(), shop.rows()) == (before + 1, 2)
    assert [sheet.product_id for sheet in sheets] == [f"A-2-{shop.mark}"]
    assert [one["amount"] for one in msgspec.json.decode(sheets[0].json)["entries"]] == ["70", "71.5"]
    with shop.pool.connection() as conn:
        causes = [one.cause for one in price_changes(conn, f"A-2-{shop.mark}", 9)]
    assert causes == ["import", "import", "write"]


def test_tiers_are_rows_or_json_and_windows_and_currencies_are_read(shop: Shop) -> None:
    done = shop.run(
        "product_id,amount,min_quantity,up_to,currency,from,until,zone,tier_mode,tiers,price_decimals\n"
        "A-1,10,2,,USD,,,,,,4\nA-1,9,10,,USD,,,,,,\nA-1,8.5,100,,,,,,,,\n"
        "A-2,10,,9,,,,,graduated,,\nA-2,9,,,,,,,,,\n"
        'A-3,,,,,2026-11-27,2026-12-01,Europe/Berlin,,"[{""up_to"": 5, ""unit_price"": ""7""}, {""unit_price"": 6}]",\n'
    )
    assert (done.rows, done.entries, done.exit_code) == (6, 3, 0)
    steps = [
        {"from": "2", "up_to": "9.999", "unit_price": "10"}, {"up_to": "99.999", "unit_price": "9"},
        {"unit_price": "8.5"}
    ]  # fmt: skip
    window = {"from": "2026-11-27", "until": "2026-12-01", "zone": "Europe/Berlin"}
    assert shop.listed() == [
        entry("A-1", tiers=steps, price_decimals=4),
        entry("A-2", tiers=[{"up_to": "9", "unit_price": "10"}, {"unit_price": "9"}], tier_mode="graduated"),
        entry("A-3", tiers=[{"up_to": "5", "unit_price": "7"}, {"unit_price": "6"}], **window),
    ]


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("A-1,x,,,", "amount"),
        ("A-1,,,,", "amount"),
        (",5,,,", "product_id"),
        ("none,5,,,", "product_id"),
        ("A-2,6,,,", "product_id"),
        ("A-3,6,,,", "product_id"),
        ("A-1,5,EUR,,", "currency"),
        ("A-1,5,,9,2026-13-01", "from"),
        ("A-1,5,,0,", "tiers[0].from"),
        ("A-1,5,,1", "row"),
    ],
)
def test_a_bad_row_refuses_the_file_or_is_left_out(shop: Shop, row: str, column: str) -> None:
    """A-2 and A-3 have an entry with the same window before, A-3 in the row before it."""
    shop.run("product_id,amount\nA-9,9\n")
    text = f"product_id,amount,currency,min_quantity,from\nA-2,7,USD,,\nA-3,7,,,\n{row}\n"
    done = shop.run(text)
    lines = {(reject.line, reject.column) for reject in done.rejects}
    assert (done.exit_code, (4, column) in lines) == (2, True), done
    assert shop.rejects.read_text().startswith("line,column,reason,raw\n")
    assert (shop.listed(), shop.rows()) == ([entry("A-9", amount="9")], 1)
    done = shop.run(text, skip_bad=True)
    assert done.exit_code == 1
    assert "A-2" in [one.product_id for one in shop.listed()]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("product_id,amount\n", "it has no rows"),
        (
            "product_id,price\nA-1,5\n",
            "unknown column 'price' .--map selects columns and ignores the others.; columns: product",
        ),
        ("amount\n5\n", "no column product_id"),
    ],
)
def test_a_file_of_another_form_is_refused(shop: Shop, text: str, reason: str) -> None:
    with pytest.raises(RefusedFile, match=reason):
        shop.run(text)
    assert (shop.listed(), shop.rows()) == ([], 0)


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx"])
def test_an_exported_list_is_imported_as_it_was(shop: Shop, form: Form) -> None:
    tiers = '"[{""up_to"": 9, ""unit_price"": ""5.125""}, {""unit_price"": ""4.5""}]"'
    window = "2026-11-27T00:00:00,2026-12-01T00:00:00+01:00,Europe/Berlin"
    shop.run(
        f"product_id,customer_id,amount,tiers,tier_mode,price_decimals,from,until,zone\n"
        f"A-1,,80.5,,,,{window}\nA-1,c-7,7.25,,,3,,,\nA-2,,,{tiers},graduated,,,,\n"
    )
    before, path = shop.listed(), shop.folder / "list"
    with shop.pool.connection() as conn, path.open("wb") as file:
        assert tables.write(file, form, exported_prices.ENTRY, exported_prices.entries(conn, shop.list_id)) == 3
    assert shop.load(path).rejected == 0
    assert shop.listed() == before


@pytest.mark.parametrize(
    "text", ["sku,note,price,amount\nA-1,x,80,1\n", '{"sku": "A-1", "note": "x", "price": 80, "amount": 1}\n']
)
def test_a_map_selects_columns_and_a_dry_run_keeps_nothing(shop: Shop, text: str) -> None:
    shop.run("product_id,amount\nA-9,9\n")
    mapped, version = entry_importer.columns("product_id=sku,amount=price"), shop.version()
    done = shop.run(text, mapped=mapped, dry_run=True)
    assert (done.rows, done.entries, done.products, done.exit_code) == (1, 1, 0, 0)
    assert (shop.listed(), shop.rows(), shop.version()) == ([entry("A-9", amount="9")], 1, version)
    assert shop.run(text, mapped=mapped).products == 1
    assert shop.listed() == [entry("A-1", amount="80")]


def test_a_product_has_at_most_64_entries_in_a_file_and_with_other_lists(shop: Shop) -> None:
    crowd = "product_id,amount,from\n" + "".join(f"A-1,5,20{at}-01-01\n" for at in range(10, 75))
    [reject] = shop.run(crowd).rejects
    assert (reject.line, "more than 64" in reject.reason) == (66, True)
    assert shop.run(crowd, skip_bad=True).entries == 64
    with pytest.raises(RefusedFile, match="more than 64"):
        shop.run("product_id,amount\nA-1,5\n", list_id=shop.euro)
    done = shop.run("product_id,amount,currency\nA-1,5,USD\n", list_id=shop.euro)
    assert done.rejects[0].reason == "the list is in EUR, not in USD"


def test_an_import_behind_a_later_one_changes_nothing(shop: Shop) -> None:
    def another(_: object) -> None:
        with shop.pool.connection() as conn:
            revisions.switch(conn, shop.list_id, revisions.begin(conn, shop.list_id), By("tests", "another"))

    with pytest.raises(RefusedFile, match="began later and is in force"):
        shop.run("product_id,amount\nA-2,70\n", published=another)
    assert (shop.listed(), shop.rows()) == ([], 0)


def test_the_command_reports_and_a_killed_one_leaves_the_old_prices(shop: Shop) -> None:
    shop.run("product_id,amount\nA-1,80\n")
    lines = "".join(f"A-{at % 9 + 1},c-{at},5\n" for at in range(100_000))
    arguments = command("import-prices", shop.file(f"product_id,customer_id,amount\n{lines}"), "--list", shop.list_id)
    env = environ(shop.settings) | {"PRICING_REDIS_URL": shop.settings.redis_url}
    with subprocess.Popen(arguments, env=env, cwd=shop.folder, stderr=subprocess.PIPE) as running:
        eventually(lambda: shop.rows() > 1_000, "some rows are loaded")
        running.kill()
    assert shop.listed() == [entry("A-1", amount="80")]
    shop.file("product_id,amount\nA-2,70\n")
    done = subprocess.run(arguments, env=env, cwd=shop.folder, capture_output=True, check=True, timeout=120)
    assert b"1 row: 1 entry, 1 product with a new sheet, 0 rejected" in done.stderr
    assert (shop.listed(), shop.rows()) == ([entry("A-2", amount="70")], 1)
    arguments[-1] = "none"
    for option, said in (
        ("--dry-run", b"dry run, nothing was kept: 1 row: 1 entry, 0 rejected"),
        ("--map=amount=price", b"--map names no column product_id"),
        ("--map=price=amount", b"unknown column 'price'"),
    ):
        trial = [*arguments[:-1], shop.list_id, option]
        done = subprocess.run(trial, env=env, cwd=shop.folder, capture_output=True, check=False, timeout=120)
        assert said in done.stderr, done
    assert (shop.listed(), shop.rows()) == ([entry("A-2", amount="70")], 1)
    done = subprocess.run(arguments, env=env, cwd=shop.folder, capture_output=True, check=False, timeout=120)
    assert (done.returncode, b"no price list 'none'; " in done.stderr) == (2, True), done
