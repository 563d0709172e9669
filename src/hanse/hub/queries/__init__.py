"""What people and sites may ask: documents made from the store, nothing changed."""
