"""The speed of price-list imports: generated entries, at one and at three a product.

`just bench import-prices [--quick] [--products N] [--json FILE]`
"""

from collections.abc import Iterable
from pathlib import Path
from random import Random

import click
import msgspec
from msgspec.structs import replace
from rich.console import Console

from shared.postgres.pools import connect
from shared.pricing.rulebook import PriceList
from shared.rulebook import store
from shared.rulebook.store import By
from tests.bench.importing import SEED, database, generated, ran, shown
from tests.integration.importing_examples import scalar
from tests.support.ending import ends_once

WINDOWS = (",", "2026-11-27T00:00:00,2026-12-01T00:00:00", "2027-01-01T00:00:00,2027-02-01T00:00:00")


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="A tenth of the products.")
@click.option("--products", type=click.IntRange(min=1), default=200_000, show_default=True)
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write the figures there too.")
def main(products: int, target: Path | None, *, quick: bool) -> None:
    """Measure, print."""
    ends_once()
    products //= 10 if quick else 1
    console = Console(highlight=False)
    figures = {}
    with database() as (folder, known):
        ran(known, folder, "import", generated(folder / "products.csv", products))
        headers = tuple(PriceList(id=f"list-{each}", kind="override") for each in (1, 3))
        with connect(known, "tests") as conn:
            store.change(conn, lambda book: replace(book, price_lists=headers), By("bench", "lists"))
        for each in (1, 3):
            path = entries(folder / f"entries-{each}.csv", products, each)
            watched, said = ran(known, folder, "import-prices", path, "--list", f"list-{each}", "--confirm")
            query = f"SELECT count(*) FROM price_list_entries WHERE list_id = 'list-{each}'"  # our own id
            assert scalar(known, query) == products * each
            figures[f"entries_a_product_{each}"] = shown(console, products * each, watched, said)
    if target:
        target.write_bytes(msgspec.json.encode(figures))


def entries(path: Path, products: int, each: int) -> Path:
    """A CSV file of so many entries a product, in no order of the products."""
    dice = Random(SEED)  # figures for a file, no secret
    numbers = list(range(products))
    dice.shuffle(numbers)

    def lines() -> Iterable[str]:
        yield "product_id,amount,from,until\n" if each > 1 else "product_id,amount\n"
        for number in numbers:
            for window in WINDOWS[:each]:
                amount = f"SKU-{number:07},{dice.randrange(100, 100_000) / 100:.2f}"
                yield f"{amount},{window}\n" if each > 1 else f"{amount}\n"

    with path.open("w") as file:
        file.writelines(lines())
    return path


if __name__ == "__main__":
    main()
