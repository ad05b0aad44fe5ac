"""Tiers of a price list: volume, graduated and package prices, with fees, free units and open ends."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.pricing import money
from shared.pricing.ratio import ONE, ZERO, Ratio, add, multiply, subtract, whole

TierMode = Literal["volume", "graduated", "package"]

LARGEST_QUANTITY = Decimal(1_000_000_000)
_SMALLEST_QUANTITY = Decimal("0.001")


class ListTier(
    Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"from_": "from"},
):
    """One tier: quantities up to `up_to`, inclusive; None: any larger one.

    The `from` of the first tier is a lower limit. The others begin after the previous `up_to`; theirs may be left out.
    A package has `package_size` units for `unit_price`; the first `free_units` cost nothing.
    """

    from_: Annotated[
        Decimal | None, Meta(description="First tier: its lowest quantity; null: any.", examples=["10"])
    ] = None
    up_to: Annotated[
        Decimal | None, Meta(description="The largest quantity, inclusive; null: no end.", examples=["49"])
    ] = None
    unit_price: Annotated[Decimal, Meta(description="The price of one unit, or of one package.", examples=["35.90"])]
    flat_fee: Annotated[Decimal, Meta(description="A fee beside the units, once.", examples=["5.00"])] = ZERO
    package_size: Annotated[
        Decimal | None, Meta(description="Units in a package, with `tier_mode` package.", examples=["6"])
    ] = None
    free_units: Annotated[
        Decimal, Meta(description="Units that cost nothing, with `tier_mode` package.", examples=["0"])
    ] = ZERO


class Line(Struct, frozen=True, gc=False):
    """The price of a whole line as an exact price of one unit; `by_unit`: it has no fee, slice or package in it."""

    unit: Ratio
    by_unit: bool


def tiered(mode: TierMode, tiers: tuple[ListTier, ...], quantity: Decimal) -> Line | None:
    """The price of the quantity, which is above 0; None where no tier has one."""
    if mode == "volume":
        tier = tier_at(tiers, quantity)
        if tier is None or not tier.flat_fee:
            return None if tier is None else Line(Ratio(tier.unit_price), True)
    amount = line_amount(mode, tiers, quantity)
    return None if amount is None else Line(Ratio(amount, quantity), False)


def line_amount(mode: TierMode, tiers: tuple[ListTier, ...], quantity: Decimal) -> Decimal | None:
    """The price of the quantity as one amount; None where no tier has one.

    volume: quantity × unit_price + flat_fee. graduated: the slices, each with its fee; the first one's fee is due at
    once. package: ceil((quantity − free_units) / package_size) × unit_price + flat_fee.
    """
    tier = tier_at(tiers, quantity)
    if tier is None:
        return None
    if mode == "graduated":
        return _slices(tiers, quantity)
    units = quantity
    if mode == "package":
        units = whole(subtract(quantity, tier.free_units), tier.package_size or ONE, "CEILING")
    return add(multiply(units, tier.unit_price), tier.flat_fee)


def tier_at(tiers: tuple[ListTier, ...], quantity: Decimal) -> ListTier | None:
    """The tier that holds the quantity."""
    if tiers[0].from_ is not None and quantity < tiers[0].from_:
        return None
    for tier in tiers:
        if tier.up_to is None or quantity <= tier.up_to:
            return tier
    return None


def _slices(tiers: tuple[ListTier, ...], quantity: Decimal) -> Decimal:
    amount, begin = ZERO, ZERO
    for tier in tiers:
        end = quantity if tier.up_to is None or quantity <= tier.up_to else tier.up_to
        amount = add(amount, add(multiply(subtract(end, begin), tier.unit_price), tier.flat_fee))
        begin = end
        if end == quantity:
            break
    return amount


def check_tiers(mode: TierMode, tiers: tuple[ListTier, ...]) -> None:
    """Raise ValueError, with the field in backticks first, unless the tiers ascend without gap and overlap."""
    previous: Decimal | None = None
    for index, tier in enumerate(tiers):
        at = f"tiers[{index}]"
        for name in ("from_", "up_to", "package_size"):
            if (value := getattr(tier, name)) is not None:
                money.number(f"{at}.{name.rstrip('_')}", value, _SMALLEST_QUANTITY, LARGEST_QUANTITY, 3)
        money.number(f"{at}.unit_price", tier.unit_price, ZERO, money.MAX_AMOUNT)
        money.number(f"{at}.flat_fee", tier.flat_fee, ZERO, money.MAX_AMOUNT)
        money.number(f"{at}.free_units", tier.free_units, ZERO, LARGEST_QUANTITY, 3)
        if (tier.package_size is None) == (mode == "package"):
            raise ValueError(f"`{at}.package_size` must be given with tier_mode package, and only with it")
        if tier.free_units and mode != "package":
            raise ValueError(f"`{at}.free_units` must be given with tier_mode package only")
        if tier.up_to is None and index < len(tiers) - 1:
            raise ValueError(f"`{at}.up_to` must be given: only the last tier has no end")
        _check_order(at, tier, previous, index == 0)
        previous = tier.up_to


def _check_order(at: str, tier: ListTier, previous: Decimal | None, first: bool) -> None:
    begin = tier.from_ if first else previous
    if not first and tier.from_ is not None and not _continues(tier.from_, previous):
        raise ValueError(f"`{at}.from` must continue the tier before, which ends at {previous}; leave it out")
    if begin is not None and tier.up_to is not None and (tier.up_to < begin or (not first and tier.up_to == begin)):
        raise ValueError(f"`{at}.up_to` must be above {begin}, where the tier begins")


def _continues(begin: Decimal, previous: Decimal | None) -> bool:
    """Whether a tier that begins there follows on `previous`; people also write 10 after 9."""
    return previous is not None and begin in (previous, add(previous, ONE))
