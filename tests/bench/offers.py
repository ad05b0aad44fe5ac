"""What an offer costs: a million issued and verified through rotations of the keys, beside raw verifications."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

import click
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from rich import box
from rich.table import Table

from deploy.offer_keys import new_offer_key, rotated
from shared.offers.keys import OfferKeys
from shared.pricing.answer import Quote
from shared.pricing.offer import Offer, offer
from shared.pricing.query import PriceQuery
from tests.bench import report
from tests.bench.judge import Bar, ratio

Taken = TypeVar("Taken")
Made = TypeVar("Made")

BLOCK = 1_000
# The keys rotate so often within a run; as many keys are kept.
ROTATIONS = 8
# One offer in so many is verified once more at the end, after all rotations.
KEPT_ONE_IN = 100
AT_S = 1_795_791_234.567
QUERY = PriceQuery(product_id="P-100", user_location="NY", is_prime_member=True, quantity=12)
QUOTE: Quote = msgspec.convert(
    {
        "product_id": "P-100", "currency": "USD", "quantity": 12, "reference_price": "47.41", "final_price": "45.04",
        "total": "540.48", "discount_rate": "0.05", "market": "NY", "version": 10_000_000_007, "rulebook_version": 3,
        "computed_at": "2026-11-27T12:00:00Z", "valid_until": None,
    },
    Quote,
)  # fmt: skip


@click.command()
@click.option("--quick", is_flag=True, help="20,000 offers.")
@click.option("--offers", default=1_000_000, type=click.IntRange(BLOCK * ROTATIONS), help="The number of offers.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here."
)
def main(quick: bool, offers: int, json_file: Path | None) -> None:
    """Issue and verify offers in this process; nothing is started."""
    found = measure(20_000 if quick else offers)
    bars = [
        Bar("CPU of a verification", found["verify_us"], "≤", 200, " µs"),
        Bar("a verification against a raw one of Ed25519", found["ratio"], "≤", 1.6),
        Bar("characters of the longest token", found["longest"], "≤", 400),
        Bar("offers that did not hold", found["broken"], "≤", 0),
    ]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("bar", "figure", "limit", ""):
        table.add_column(column, justify="right")
    for bar in bars:
        limit, mark = f"{bar.sign} {bar.bound}{bar.unit}", "✓" if bar.holds else "✗"
        table.add_row(bar.what, f"{bar.measured:,.2f}{bar.unit}", limit, mark)
    console = report.console()
    console.print(f"{found['offers']:,.0f} offers; issued in {found['issue_us']:.0f} µs of CPU each", table)
    if json_file:
        written = found | {"bars": {bar.what: bar.holds for bar in bars}}
        json_file.write_text(json.dumps({"benchmark": "offers", **written}, indent=2))
    sys.exit(0 if all(bar.holds for bar in bars) else 1)


def measure(offers: int) -> dict[str, float]:
    """Issue and verify in turns that alternate with raw verifications; the medians of their blocks."""
    text = new_offer_key()
    keys = OfferKeys(text)
    raw = Ed25519PrivateKey.generate()
    public, message = raw.public_key(), keys.sign(offer(QUOTE, QUERY, AT_S, 900)).rpartition(".")[0].encode()
    signature = raw.sign(message)
    issued_us, verified_us, raw_us, kept = list[float](), list[float](), list[float](), list[str]()
    longest = broken = 0
    blocks = offers // BLOCK
    for block in range(blocks):
        quotes = [replace(QUOTE, total=Decimal(block * BLOCK + n) / 100) for n in range(BLOCK)]
        tokens, took_us = _timed(partial(_issued, keys), quotes)
        issued_us.append(took_us)
        if block * ROTATIONS // blocks != (block - 1) * ROTATIONS // blocks:
            text = rotated(text)
        keys = OfferKeys(text)  # as after a restart
        read, took_us = _timed(partial(_verified, keys), tokens)
        verified_us.append(took_us)
        raw_us.append(_timed(lambda _: public.verify(signature, message), tokens)[1])
        broken += sum(one.total != found.total for one, found in zip(quotes, read, strict=True))
        longest = max(longest, *map(len, tokens))
        kept += tokens[::KEPT_ONE_IN]
    for token in kept:
        _verified(keys, token)
    return {
        "offers": offers,
        "issue_us": median(issued_us),
        "verify_us": median(verified_us),
        "raw_us": median(raw_us),
        "ratio": ratio(verified_us, raw_us),
        "longest": longest,
        "broken": broken,
    }


def _issued(keys: OfferKeys, quoted: Quote) -> str:
    return keys.sign(offer(quoted, QUERY, AT_S, 900))


def _verified(keys: OfferKeys, token: str) -> Offer:
    return keys.read(token, now_s=AT_S + 1, revoked_before_s=0)


def _timed(work: Callable[[Taken], Made], block: Sequence[Taken]) -> tuple[list[Made], float]:
    """What is made of a block, and the CPU time for each, in microseconds."""
    began = time.process_time()
    made = [work(each) for each in block]
    return made, (time.process_time() - began) / len(block) * 1e6


if __name__ == "__main__":
    main()
