"""Ways to run the pricing engine: as local processes, in containers."""
