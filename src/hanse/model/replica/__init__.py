"""Replicas: their roles, what sites are told, and what sites say back."""
