"""Amounts and common fields on the wire."""
