"""Documents of the hub as plain text. Pure: documents in, lines out; only `follow` talks."""
