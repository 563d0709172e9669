"""Drivers: one package a kind, all under `contract`."""
