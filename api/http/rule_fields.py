"""Descriptions and examples of the rulebook's fields, for the OpenAPI document.

The structs' own docstrings describe most fields, under `Attributes`. What they say about several fields at once is
here, field by field.
"""

import inspect
import re
from typing import Any

import msgspec

_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n      .*)*)", re.MULTILINE)

_WINDOW = {
    "from": "The beginning; a time without offset is read in `zone`; null: it has begun.",
    "until": "The end, which is no part of the window; null: none.",
    "zone": "The IANA time zone of times without an offset.",
    "opens": "The beginning as an instant; computed at the write.",
    "closes": "The end as an instant; computed at the write.",
    "id": "The id, as in the path.",
    "name": "A name for people.",
    "priority": "Of several, the highest counts or comes first.",
    "conditions": "The queries that it is for: all must hold; empty: all queries.",
}
_DESCRIPTIONS: dict[str, dict[str, str]] = {
    "Adjustment": {
        "of": "The base: the published price, the list price, the cost, or the price of another list.",
        "percent": "Percent taken off; negative: added.",
        "amount": "The amount taken off, in the list's currency; negative: added.",
        "applies_to": "The products; null: all.",
        "multiple_of": "The price becomes a multiple of this.",
        "plus": "Added after that; it may be negative.",
        "min_margin": "The least share over the cost, in [0, 100].",
        "max_margin": "The largest share over the cost, in [0, 100].",
    },
    "AppliesTo": {
        "products": "Products by id.",
        "categories": "All products of these categories.",
        "brands": "All products of these brands.",
        "tags": "All products with one of these tags.",
    },
    "CompetitorRule": {
        "n": "With `pick` nth: the n-th lowest.",
        "position": "The distance to the chosen price.",
        "lowest": "The lowest result, as a multiple of the list price.",
        "highest": "The highest result, as a multiple of the list price.",
    },
    "Condition": {
        "attribute": "A field of the query, or attributes.NAME.",
        "eq": "It must be this.",
        "in": "It must be one of these.",
        "not_in": "It must be none of these; a query without the attribute fits.",
        "gt": "It must be above this.",
        "gte": "It must be this or above.",
        "lt": "It must be below this.",
        "lte": "It must be this or below.",
    },
    "CostPlusRule": {"markup": "The price is cost × (1 + markup)."},
    "DemandRule": {"lowest": "The smallest multiplier.", "highest": "The largest multiplier."},
    "Ending": {
        "multiple_of": "Prices are a multiple of this, plus `plus`.",
        "plus": "1 and -0.01 make 18.99, 19.99; smaller than `multiple_of`.",
        "to": "Which of the neighbours is taken.",
    },
    "MarketRules": {
        "lowest_price_days": "The days of the lowest price before a reduction.",
        "lowest_price_mode": "The lowest price before the reduction began, or before the last change.",
        "progressive": "Whether a reduction that grows keeps the lowest price of its first step.",
        "unit_price_per": "The measures by which unit prices are shown.",
    },
    "OfList": {"list": "The id of the other list."},
    "Position": {
        "percent": "The distance in percent of the chosen price.",
        "amount": "The distance in the product's currency.",
        "side": "Below the chosen price or above it.",
    },
    "PriceList": _WINDOW | {"conditions": "The queries that it is for: all must hold.", "adjustment": "A formula."},
    "Promotion": _WINDOW
    | {
        "exclusive": "It applies alone, without membership.",
        "percent": "Percent off.",
        "amount": "The amount off each unit, in `currency`.",
        "currency": "The currency of `amount`.",
        "of": "Off the running price, or off the reference price.",
        "applies_to": "The products; null: all.",
    },
    "QuietHours": {"from": "The time of day at which they begin.", "until": "The time of day at which they end."},
    "StockPoint": {"stock": "The pieces in stock.", "multiplier": "The multiplier at that stock."},
    "StockRule": {"points": "Points by ascending stock, with straight lines between them."},
    "Strategy": {
        "competitor": "Follows competitors.",
        "demand": "Multiplies by the demand index.",
        "stock": "Multiplies by the stock's multiplier.",
        "cost_plus": "Sets the price by the cost.",
    },
    "Within": {
        "lowest": "The lowest offer that counts, as a multiple of the list price.",
        "highest": "The highest offer that counts, as a multiple of the list price.",
    },
}

_EXAMPLES: dict[str, Any] = {
    "adjustment": {"percent": "10"},
    "amount": "5.00",
    "applies_to": {"categories": ["fashion"]},
    "attribute": "customer_groups",
    "brands": ["Acme"],
    "cash_step": "0.05",
    "categories": ["fashion"],
    "changes_a_day": 4,
    "closes": "2026-11-30T23:00:00Z",
    "competitor": {"lowest": "0.5", "highest": "1.2"},
    "conditions": [{"attribute": "customer_groups", "in": ["b2b"]}],
    "cost_plus": {"markup": "0.4"},
    "currency": "EUR",
    "default_strategy": "list_price",
    "demand": {"lowest": "0.8", "highest": "1.25"},
    "ending": {"multiple_of": "1", "plus": "-0.01"},
    "eq": "b2b",
    "from": "2026-11-27T00:00:00",
    "gt": "10",
    "gte": "10",
    "highest": "1.2",
    "id": "spring",
    "in": ["b2b"],
    "kind": "override",
    "list": "wholesale",
    "lowest": "0.5",
    "lt": "10",
    "lte": "10",
    "markup": "0.4",
    "max_margin": "0.8",
    "max_over_list": "1.5",
    "max_step": "0.20",
    "max_step_down": "0.1",
    "max_step_up": "0.1",
    "min_margin": "0.05",
    "min_minutes": 60,
    "multiple_of": "1",
    "multiplier": "1.10",
    "n": 2,
    "name": "Spring sale",
    "not_in": ["b2b"],
    "opens": "2026-11-26T23:00:00Z",
    "percent": "20",
    "points": [{"stock": 0, "multiplier": "1.2"}, {"stock": 100, "multiplier": "1"}],
    "position": {"percent": "1"},
    "price_decimals": 4,
    "products": ["P-100"],
    "quiet_hours": {"from": "22:00", "until": "06:00"},
    "stock": 10,
    "strategies": {"list_price": {}},
    "tags": ["red"],
    "tax_rates": {"standard": "0.19", "reduced": "0.07"},
    "until": "2026-12-01T00:00:00",
}

# Of fields that mean something else in another part.
_EXAMPLES_OF: dict[tuple[str, str], Any] = {
    ("RulebookPolicy", "categories"): {"fashion": "list_price"},
    ("Strategy", "stock"): {"points": [{"stock": 0, "multiplier": "1.2"}, {"stock": 100, "multiplier": "1"}]},
}

# Of a field of the query.
_VALUE = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
# Amounts in these may be negative.
SIGNED = {"Adjustment", "Condition", "Ending"}


def descriptions(kind: type) -> dict[str, str]:
    """What the fields of a struct mean, by their names."""
    described: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        described |= _attributes(each) | _DESCRIPTIONS.get(each.__name__, {})
    return described


def complete(kind: type[msgspec.Struct], schema: dict[str, Any]) -> None:
    """Add descriptions and examples to the schema of a struct where it has none."""
    described = descriptions(kind)
    if kind.__name__ == "Condition":
        for name in ("in", "not_in"):
            schema["properties"][name]["anyOf"][0]["items"] = _VALUE
        schema["properties"]["eq"] |= _VALUE
    for name, field in schema.get("properties", {}).items():
        if "description" not in field and name in described:
            field["description"] = described[name]
        if (kind.__name__, name) in _EXAMPLES_OF:
            field["examples"] = [_EXAMPLES_OF[kind.__name__, name]]
        # Only documents that people write need them.
        if not field.get("examples") and name in described and kind.__struct_config__.forbid_unknown_fields:
            if field.get("default") in (None, [], {}, "") and name in _EXAMPLES:
                field["examples"] = [_EXAMPLES[name]]
            elif "default" in field:
                field["examples"] = [field["default"]]


def _attributes(kind: type) -> dict[str, str]:
    """The fields that a docstring describes under `Attributes`."""
    _, _, listed = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")
    return {name.rstrip("_"): " ".join(text.split()) for name, text in _ATTRIBUTE.findall(listed)}
