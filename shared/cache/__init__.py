"""Redis as a cache of price sheets."""
