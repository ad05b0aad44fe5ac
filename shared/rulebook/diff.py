"""What differs between two rulebooks, field by field."""

from collections.abc import Iterator
from typing import Any

import msgspec

from shared.pricing.rulebook import Rulebook
from shared.rulebook import documents, parts
from shared.rulebook.parts import PartName


class Difference(msgspec.Struct, frozen=True):
    """A field that differs; UNSET where one of the rulebooks does not have it."""

    path: str
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET


def differences(before: Rulebook, after: Rulebook) -> list[Difference]:
    """The smallest parts that differ. Price lists and promotions are compared by id, as `$.promotions.ID.percent`."""
    return list(_compared("$", _by_id(before), _by_id(after)))


def of_part(before: Rulebook, after: Rulebook, name: PartName) -> list[Difference]:
    """The smallest parts of one part that differ; of a part that only one rulebook has, the part itself."""
    one, other = (parts.find(rulebook, name) for rulebook in (before, after))
    return list(_compared("$", _document(one), _document(other)))


def _document(part: parts.Part | None) -> Any:
    return msgspec.UNSET if part is None else documents.builtins(part)


def _by_id(rulebook: Rulebook) -> dict[str, Any]:
    document = documents.builtins(rulebook)
    return document | {name: {part["id"]: part for part in document[name]} for name in ("price_lists", "promotions")}


def _compared(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            one, other = before.get(name, msgspec.UNSET), after.get(name, msgspec.UNSET)
            yield from _compared(f"{path}.{name}", one, other)
    elif before != after or type(before) is not type(after):
        yield Difference(path, before, after)
