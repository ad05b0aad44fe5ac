"""The catalogue in PostgreSQL: products, product sets and markets."""
