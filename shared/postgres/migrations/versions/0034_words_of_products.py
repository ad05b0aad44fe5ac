"""Products found by words: an index of their ids, names, categories, brands and tags."""

from alembic import op

revision = "0034"
down_revision = "0033"

# Words stand between blanks and these characters; `shared.catalogue.listing` cuts a search in the same way.
# PostgreSQL puts the function's body in its place: a body with a subquery would take twice the time of every write.
SCHEMA = """
CREATE FUNCTION product_words(name text, category text, brand text, tags jsonb) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN array_to_tsvector(array_remove(string_to_array(
    translate(
        lower(name || ' ' || category || ' ' || coalesce(brand, '') || ' ' || tags::text),
        '-_/.,;:()[]"', repeat(' ', 12)),
    ' '), ''));
COMMENT ON FUNCTION product_words IS 'the words by which a product is found';
CREATE INDEX products_by_words ON products USING gin (product_words(name, category, brand, tags));
"""


def upgrade() -> None:
    """Create the function and the index."""
    op.execute(SCHEMA)
