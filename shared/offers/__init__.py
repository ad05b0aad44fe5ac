"""Offers: the keys that sign them, and the instants before which they are revoked."""
