"""The rulebook: the rules that people decide for all products."""
