"""Published prices: decided in bulk, kept with their history."""
