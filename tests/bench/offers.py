"""What an offer costs: a million issued and verified through rotations of the keys, beside raw verifications."""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

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
# Blocks that a process measures at a time, and raw verifications beside each.
PART, RAW = 25, 200
PROCESSES = os.cpu_count() or 1
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
    """Issue and verify offers in a process for each core; no server is started."""
    console = report.console()
    found = measure(20_000 if quick else offers, lambda line: console.print(f"· {line}"))
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
    console.print(f"{found['offers']:,.0f} offers; issued in {found['issue_us']:.0f} µs of CPU each", table)
    if json_file:
        written = found | {"bars": {bar.what: bar.holds for bar in bars}}
        json_file.write_text(json.dumps({"benchmark": "offers", **written}, indent=2))
    sys.exit(0 if all(bar.holds for bar in bars) else 1)


class Part(NamedTuple):
    """So many blocks of offers, issued with some keys, and verified by a process that has later ones."""

    issuing: str
    verifying: str
    blocks: range


class Measured(NamedTuple):
    """A part's CPU time per offer of each block, in microseconds, and one token in a hundred."""

    issued_us: list[float]
    verified_us: list[float]
    raw_us: list[float]
    kept: list[str]
    longest: int
    broken: int


def measure(offers: int, say: Callable[[str], None] = lambda _: None) -> dict[str, float]:
    """Issue and verify in turns that alternate with raw verifications, in a process for each core.

    Each figure is the median of the blocks.
    """
    texts = [new_offer_key()]
    for _ in range(ROTATIONS):
        texts.append(rotated(texts[-1]))
    blocks = offers // BLOCK
    parts = []
    for start in range(0, blocks, PART):
        rotation = start * ROTATIONS // blocks
        parts.append(Part(texts[rotation], texts[rotation + 1], range(start, min(start + PART, blocks))))
    found = list[Measured]()
    with ProcessPoolExecutor(PROCESSES) as pool:
        for each in pool.map(_measured, parts):
            found.append(each)
            say(f"{sum(len(part.issued_us) for part in found) * BLOCK:,} of {offers:,}")
    keys = OfferKeys(texts[-1])
    for part in found:
        for token in part.kept:
            _verified(keys, token)
    verified_us, raw_us = (
        [us for part in found for us in part.verified_us],
        [us for part in found for us in part.raw_us],
    )
    return {
        "offers": blocks * BLOCK,
        "issue_us": median(us for part in found for us in part.issued_us),
        "verify_us": median(verified_us),
        "raw_us": median(raw_us),
        "ratio": ratio(verified_us, raw_us),
        "longest": max(part.longest for part in found),
        "broken": sum(part.broken for part in found),
    }


def _measured(part: Part) -> Measured:
    keys = OfferKeys(part.issuing)
    raw = Ed25519PrivateKey.generate()
    public, message = raw.public_key(), keys.sign(offer(QUOTE, QUERY, AT_S, 900)).rpartition(".")[0].encode()
    signature = raw.sign(message)
    found = Measured([], [], [], [], 0, 0)
    for block in part.blocks:
        quotes = [replace(QUOTE, total=Decimal(block * BLOCK + n) / 100) for n in range(BLOCK)]
        tokens, took_us = _timed(partial(_issued, keys), quotes)
        found.issued_us.append(took_us)
        later = OfferKeys(part.verifying)  # as after a rotation and a restart
        read, took_us = _timed(partial(_verified, later), tokens)
        found.verified_us.append(took_us)
        found.raw_us.append(_timed(lambda _: public.verify(signature, message), tokens[:RAW])[1])
        found.kept.extend(tokens[::KEPT_ONE_IN])
        broken = sum(one.total != offered.total for one, offered in zip(quotes, read, strict=True))
        found = found._replace(longest=max(found.longest, *map(len, tokens)), broken=found.broken + broken)
    return found


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
