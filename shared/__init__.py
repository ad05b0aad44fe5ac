"""Code that two or more of the processes use."""

VERSION = "0.1.0"
