"""Faults of documents, with the words that are allowed in the place of an unknown one."""

from typing import Any

import msgspec

from shared.errors import InvalidInput, PricingError, translate
from shared.pricing import choices
from shared.wording import with_choices


def choices_shown(error: msgspec.ValidationError, kind: Any) -> PricingError:
    """The engine's error for a fault in a document of this type."""
    known = translate(error)
    if not isinstance(known, InvalidInput):
        return known or PricingError(str(error))
    path = known.path.rpartition(".")[0] if known.reason.startswith("unknown field") else known.path
    return InvalidInput(with_choices(known.reason, choices.of(kind, path)), known.path)
