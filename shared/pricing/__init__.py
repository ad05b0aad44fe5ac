"""The price as a pure function: standard library and msgspec only, no clock, no randomness, no I/O."""
