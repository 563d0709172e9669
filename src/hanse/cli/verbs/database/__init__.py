"""Databases brought in from outside, and taken out."""
