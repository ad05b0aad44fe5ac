"""PostgreSQL: the truth about products, prices, events and tasks."""
