"""The changes that a plan proposes: each is one part, whole, or a deletion."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from shared.access.scopes import Scope
from shared.errors import InvalidInput, NotFound, StillInUse
from shared.pricing.rulebook import MarketRules, Name, PartId, PriceList, Promotion, Rulebook, RulebookPolicy
from shared.rulebook import documents, parts
from shared.rulebook.parts import Part, PartName

MOST_CHANGES = 1_000


class MarketChange(MarketRules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market, whole.

    Attributes:
        code: Its code, as in `user_location`.
    """

    code: Name


class Deletion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The name of what is deleted: exactly one."""

    market: Name | None = None
    price_list: PartId | None = None
    promotion: PartId | None = None

    def __post_init__(self) -> None:
        _only_one(self)


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One change: exactly one of these."""

    policy: RulebookPolicy | None = None
    market: MarketChange | None = None
    price_list: PriceList | None = None
    promotion: Promotion | None = None
    delete: Deletion | None = None

    def __post_init__(self) -> None:
        _only_one(self)

    @property
    def kind(self) -> str:
        """The name of the field that is given."""
        return next(_given(self))

    @property
    def scope(self) -> Scope:
        """The scope that the same change needs as a direct write."""
        return "rules:write"


Changes = Annotated[
    tuple[Change, ...],
    Meta(min_length=1, max_length=MOST_CHANGES, description="The changes, in their order; each part is whole."),
]


class RulebookChange(NamedTuple):
    """A part of the rulebook that a change writes; None: it deletes it."""

    name: PartName
    part: Part | None


def of_rulebook(change: Change) -> RulebookChange | None:
    """What a change does to the rulebook; None: nothing."""
    if change.policy is not None:
        return RulebookChange(PartName("policy"), change.policy)
    if (market := change.market) is not None:
        rules = MarketRules(**{name: getattr(market, name) for name in MarketRules.__struct_fields__})
        return RulebookChange(PartName("market", market.code), rules)
    if change.price_list is not None:
        return RulebookChange(PartName("price_list", change.price_list.id), change.price_list)
    if change.promotion is not None:
        return RulebookChange(PartName("promotion", change.promotion.id), change.promotion)
    if (gone := change.delete) is not None:
        if gone.market is not None:
            return RulebookChange(PartName("market", gone.market), None)
        if gone.price_list is not None:
            return RulebookChange(PartName("price_list", gone.price_list), None)
        if gone.promotion is not None:
            return RulebookChange(PartName("promotion", gone.promotion), None)
    return None


def revised(rulebook: Rulebook, changes: Sequence[Change]) -> Rulebook:
    """The rulebook after the changes, written nowhere.

    Raises:
        InvalidInput: a change contradicts itself or the others; the path leads into the change.
    """
    for index, change in enumerate(changes):
        if (written := of_rulebook(change)) is None:
            continue
        place = f"$.changes[{index}].{change.kind}"
        try:
            if written.part is None:
                rulebook = parts.without_part(rulebook, written.name)
            else:
                rulebook = parts.with_part(rulebook, written.name, written.part)
        except InvalidInput as error:
            raise InvalidInput(error.reason, f"{place}{error.path.removeprefix('$')}") from None
        except (NotFound, StillInUse) as error:
            raise InvalidInput(str(error), f"{place}.{written.name.kind}") from None
    return rulebook


def encoded(changes: Sequence[Change]) -> str:
    """The changes in JSON, as they are stored; the numbers of conditions keep their types."""
    return documents.NUMBERS.encode([_builtins(change) for change in changes]).decode()


def decoded(document: str) -> tuple[Change, ...]:
    """Stored changes."""
    return msgspec.json.Decoder(tuple[Change, ...], float_hook=Decimal).decode(document)


def _builtins(change: Change) -> dict[str, Any]:
    return {change.kind: documents.builtins(getattr(change, change.kind))}


def _given(struct: Struct) -> Iterator[str]:
    return (name for name in struct.__struct_fields__ if getattr(struct, name) is not None)


def _only_one(struct: Struct) -> None:
    given = list(_given(struct))
    if len(given) != 1:
        first = given[1] if given else struct.__struct_fields__[0]
        raise ValueError(f"`{first}` must be the only one: give exactly one of {', '.join(struct.__struct_fields__)}")
