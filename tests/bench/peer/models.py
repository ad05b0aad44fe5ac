"""The peer's query and answer: the engine's fields and bounds, as Pydantic models."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.pricing.currencies import known_currency
from shared.pricing.text import clean_text

Source = Literal["cache", "database"]


def _clean(product_id: str) -> str:
    clean_text("product_id", product_id)
    return product_id


def _known(code: str) -> str:
    known_currency("currency", code)
    return code


class PriceQuery(BaseModel):
    """What the engine's `PriceQuery` takes, as strictly."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    product_id: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"), AfterValidator(_clean)
    ]
    user_location: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    is_prime_member: bool = False
    quantity: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$"), AfterValidator(_known)] | None = None


class Step(BaseModel):
    """A rule of the explanation."""

    rule: str
    before: Decimal
    after: Decimal
    reason: str


class Rejection(BaseModel):
    """What was considered and not used."""

    rule: str
    reason: str


class PriceAnswer(BaseModel):
    """What the engine answers."""

    product_id: str
    currency: str
    quantity: int
    base_price: Decimal
    final_price: Decimal
    total: Decimal
    discount_rate: Decimal
    market: str
    version: int
    computed_at: datetime
    valid_until: datetime | None
    steps: list[Step] | None = None
    rejected: list[Rejection] | None = None
    source: Source
