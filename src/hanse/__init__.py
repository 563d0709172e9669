"""Hanse: many independent cloud providers act as one cloud."""

__version__ = "0.1.0"
