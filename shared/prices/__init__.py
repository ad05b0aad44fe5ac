"""Published prices: decided in bulk, stored with their history."""
