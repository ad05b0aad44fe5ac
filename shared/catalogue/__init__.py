"""The catalogue in PostgreSQL: products and product sets."""
