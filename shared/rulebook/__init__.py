"""The rulebook: what people decide and is not per product."""
