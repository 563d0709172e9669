"""Exact search over a bundle, apart from what a bundle is made of."""
