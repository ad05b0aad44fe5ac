"""Explanations: the rules that led to a price, and the rules and signals that were not used."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

Code = Literal[
    "not_started",
    "expired",
    "condition_unmet",
    "lower_priority",
    "no_effect",
    "below_floor",
    "other_currency",
    "exclusive_other",
    "no_rate",
    "no_price",
    "unknown_strategy",
    "no_signal",
    "stale_signal",
    "outlier",
    "own_offer",
    "excluded",
    "out_of_stock",
    "no_cost",
    "no_limit",
    "held",
    "paused",
    "observed",
]


class Step(Struct, frozen=True, gc=False, kw_only=True):
    """One rule that was applied, with the unit price before and after it."""

    rule: Annotated[str, Meta(description="The rule's name.", examples=["market"])]
    before: Annotated[
        Decimal,
        Meta(description="Unit price before the rule, at most 6 decimals shown.", examples=["49.90"]),
    ]
    after: Annotated[
        Decimal,
        Meta(description="Unit price after the rule, at most 6 decimals shown.", examples=["47.405"]),
    ]
    reason: Annotated[str, Meta(description="The reason, with its figures.", examples=["market NY × 0.95"])]


class Rejection(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One rule, or one signal, that was considered and not used."""

    rule: Annotated[str, Meta(description="The rule's name.", examples=["promotion"])]
    code: Annotated[Code | None, Meta(description="The code of the reason.", examples=["expired"])] = None
    reason: Annotated[str, Meta(description="The reason, in words.", examples=["black-friday has ended"])]
