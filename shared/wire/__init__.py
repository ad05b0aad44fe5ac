"""Amounts and fields as they stand on the wire."""
