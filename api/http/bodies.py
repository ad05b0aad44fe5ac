"""Request bodies: decoded strictly, straight from their bytes into a msgspec type."""

from collections.abc import Generator
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar, TypeVar

import msgspec
from litestar._openapi.schema_generation import SchemaCreator
from litestar.dto import AbstractDTO, DTOConfig
from litestar.dto.data_structures import DTOFieldDefinition
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from shared.errors import translated
from shared.wire import amounts

T = TypeVar("T", bound=msgspec.Struct)

# Asked for each body, also those of price queries, which have none.
_has_amounts = cache(amounts.has_amounts)


class StrictBody(AbstractDTO[T]):
    """Gives a handler its `data`; `dto=StrictBody[PriceQuery], return_dto=None`.

    Litestar's own way decodes numbers as floats and coerces strings to numbers; here amounts keep their
    digits, and a wrong type is an error that names its field.
    """

    config: ClassVar[DTOConfig] = DTOConfig()

    def decode_bytes(self, value: bytes) -> Any:
        """The body as the handler's type.

        Raises:
            NotJson: it is no JSON.
            InvalidInput: it is of the wrong shape.
        """
        with translated():
            try:
                decoded = msgspec.json.Decoder(self.model_type, float_hook=Decimal).decode(value)
            except msgspec.ValidationError:
                # It stops at the first wrong field, and what is no JSON behind that is the greater fault.
                msgspec.json.decode(value)
                raise
        if _has_amounts(self.model_type):
            amounts.check(decoded, msgspec.json.decode(value))
        return decoded

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Nothing to prepare: msgspec has the type."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        """The schema of the type itself."""
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """None are needed: no transfer model is generated."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """No transfer model, no nested fields."""
        return False
