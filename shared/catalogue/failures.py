"""Products that fail alone: their own data cannot be read, or not be decided."""

from typing import Annotated

import msgspec
from msgspec import Meta

# A reason is read by people; the text of an error may repeat a document.
REASON_CHARS = 300


class ProductFailure(msgspec.Struct, frozen=True):
    """A product whose stored data cannot be read, or whose price cannot be decided; the others go on."""

    product_id: Annotated[str, Meta(description="The product.", examples=["P-100"])]
    reason: Annotated[str, Meta(description="The reason, in words.", examples=["UnusableProduct: no currency"])]

    @classmethod
    def of(cls, product_id: str, error: Exception) -> "ProductFailure":
        """The failure that an error is."""
        return cls(product_id, f"{type(error).__name__}: {error}"[:REASON_CHARS])
