"""What a plan finds in its rules: parts that can never apply, and products without a price."""

from collections.abc import Iterator, Sequence

from shared.errors import StatementTimeout, translated
from shared.plans.proposal import Proposal
from shared.plans.sums import Sums
from shared.postgres.pools import Conn, bound_statement
from shared.pricing.lint import Finding, findings
from shared.pricing.rulebook import AppliesTo, PriceList, Promotion
from shared.rulebook import parts

MOST = 100
MOST_NAMES = 50
STATEMENT_S = 5


def found(conn: Conn, proposal: Proposal, total: Sums) -> list[Finding]:
    """Up to 100 findings: of the rulebook after the changes, and of the changed parts in the catalogue.

    Args:
        conn: In a transaction, which may be spoiled by a statement that takes too long.
        proposal: The changes.
        total: The sums of the plan.
    """
    [row] = conn.execute("SELECT clock_timestamp() AS now").fetchall()
    every = [*findings(proposal.after, proposal.terms.after.markets, row["now"])]
    every += _in_catalogue(conn, proposal)
    if proposal.public is not None and total.published.products and not total.markets and not total.unpriced:
        names = ", ".join(map(str, proposal.touched)) or "the changes"
        every.append(Finding("no_effect", names, "no public price of any planned product moves"))
    for market, (number, product_id) in sorted(total.unpriced.items()):
        query = {"product_id": product_id, "user_location": market}
        every.append(Finding("no_price", f"market {market}", f"{number:,} products have no price there", query))
    return every[:MOST]


def _in_catalogue(conn: Conn, proposal: Proposal) -> Iterator[Finding]:
    """Names in changed parts that no product has."""
    for name in proposal.touched:
        part = parts.find(proposal.after, name)
        applies_to = _applies_to(part) if isinstance(part, PriceList | Promotion) else None
        if applies_to is None:
            continue
        for field in AppliesTo.__struct_fields__:
            names = (getattr(applies_to, field) or ())[:MOST_NAMES]
            if names and (unknown := _unknown(conn, field, names)):
                yield Finding("unknown_name", str(name), f"no product has one of these {field}: {', '.join(unknown)}")


def _applies_to(part: PriceList | Promotion) -> AppliesTo | None:
    if isinstance(part, Promotion):
        return part.applies_to
    return None if part.adjustment is None else part.adjustment.applies_to


def _unknown(conn: Conn, field: str, names: Sequence[str]) -> list[str]:
    """Those of the names that no product has; none of them where the search takes too long."""
    try:
        with translated(), conn.transaction():
            bound_statement(conn, STATEMENT_S)
            return [row["name"] for row in conn.execute(_UNKNOWN[field], [list(names)])]
    except StatementTimeout:
        return []


_NAMED = "SELECT name FROM unnest(%s::text[]) AS n (name) WHERE NOT EXISTS (SELECT FROM products p WHERE {})"
_UNKNOWN = {
    "products": _NAMED.format("p.product_id = n.name").encode(),
    "categories": _NAMED.format("p.category = n.name").encode(),
    "brands": _NAMED.format("p.brand = n.name").encode(),
    "tags": _NAMED.format("p.tags @> jsonb_build_array(n.name)").encode(),
}
