"""Request bodies: decoded strictly, straight from their bytes into a msgspec type."""

from collections.abc import Generator
from functools import cache
from typing import Any, ClassVar, TypeVar

import msgspec
from litestar._openapi.schema_generation import SchemaCreator
from litestar.dto import AbstractDTO, DTOConfig
from litestar.dto.data_structures import DTOFieldDefinition
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from shared.errors import translated
from shared.rulebook import documents
from shared.wire import amounts
from shared.wire.choices import choices_shown

T = TypeVar("T", bound=msgspec.Struct)

# Every body is checked, also those of price queries, which have no amounts.
_has_amounts = cache(amounts.has_amounts)


class StrictBody(AbstractDTO[T]):
    """Gives a handler its `data`; `dto=StrictBody[PriceQuery], return_dto=None`.

    Litestar's own decoding turns numbers into floats and coerces strings to numbers. Here amounts keep their
    digits, and a wrong type is an error that names its field.
    """

    config: ClassVar[DTOConfig] = DTOConfig()

    def decode_bytes(self, value: bytes) -> Any:
        """The body as the handler's type.

        Raises:
            NotJson: the body is not JSON.
            InvalidInput: the body has the wrong shape.
        """
        return self._decode(value)

    def _decode(self, value: bytes) -> Any:
        with translated():
            try:
                decoded = msgspec.json.Decoder(self.model_type, float_hook=amounts.exact).decode(value)
            except msgspec.ValidationError as error:
                # The decoder stops at the first wrong field. Broken JSON after that field is the greater fault.
                msgspec.json.decode(value)
                raise choices_shown(error, self.model_type) from None
        if _has_amounts(self.model_type):
            amounts.check(decoded, msgspec.json.decode(value))
        return decoded

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Do nothing: msgspec decodes the type as it is."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        """The schema of the type itself."""
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """No fields: no transfer model is generated."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """False: no transfer model is generated."""
        return False


class RuleBody(StrictBody[T]):
    """As `StrictBody`, for a part of the rulebook: the numbers of conditions stay exact, and a map's key is named."""

    def _decode(self, value: bytes) -> Any:
        return documents.read(value, self.model_type)
