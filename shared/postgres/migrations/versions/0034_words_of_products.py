"""Products found by words: an index of their ids, names, categories, brands and tags."""

from alembic import op

revision = "0034"
down_revision = "0033"

# What stands between blanks is a word, and so are its parts: `blue-ray` and `ray`. A whole tag begins with #.
SCHEMA = """
CREATE FUNCTION product_words(name text, category text, brand text, tags jsonb) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN strip(
    to_tsvector('pg_catalog.simple', name || ' ' || category || ' ' || coalesce(brand, ''))
    || array_to_tsvector(
        array_remove(string_to_array(lower(name || ' ' || category || ' ' || coalesce(brand, '')), ' '), ''))
    || jsonb_to_tsvector('pg_catalog.simple', tags, '["string"]')
    || coalesce((SELECT array_to_tsvector(array_agg('#' || lower(tag))) FROM jsonb_array_elements_text(tags) t (tag)),
        ''));
COMMENT ON FUNCTION product_words IS 'the words by which a product is found';
CREATE INDEX products_by_words ON products USING gin (product_words(name, category, brand, tags));
"""


def upgrade() -> None:
    """Create the function and the index."""
    op.execute(SCHEMA)
