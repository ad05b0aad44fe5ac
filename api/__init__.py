"""The HTTP API: Litestar on Granian."""
