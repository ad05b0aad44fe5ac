"""Explanations: the rules that led to a price, and the rules and signals that were not used."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct


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


class Rejection(Struct, frozen=True, gc=False, kw_only=True):
    """One rule, or one signal, that was considered and not used."""

    rule: Annotated[str, Meta(description="The rule's name.", examples=["competitor"])]
    reason: Annotated[str, Meta(description="The reason for not using it.", examples=["acme is out of stock"])]
