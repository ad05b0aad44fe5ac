"""Products found by words: an index of their ids, names, categories, brands and tags."""

from alembic import op

revision = "0034"
down_revision = "0033"

# What stands between blanks is a word, too: the parser takes `P-100` for `p` and `-100`.
SCHEMA = """
CREATE FUNCTION product_words(product_id text, name text, category text, brand text, tags jsonb) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    array_to_tsvector(array_remove(string_to_array(
        lower(product_id || ' ' || name || ' ' || category || ' ' || coalesce(brand, '')), ' '), ''))
    || to_tsvector('pg_catalog.simple', product_id || ' ' || name || ' ' || category || ' ' || coalesce(brand, ''))
    || jsonb_to_tsvector('pg_catalog.simple', coalesce(tags, '[]'), '["string"]');
COMMENT ON FUNCTION product_words IS 'the words by which a product is found';
CREATE INDEX products_by_words ON products USING gin (product_words(product_id, name, category, brand, tags));
"""


def upgrade() -> None:
    """Create the function and the index."""
    op.execute(SCHEMA)
